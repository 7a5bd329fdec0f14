"""What every run of the suite has."""

import socket

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import User
from marketplace.tests.cast import assert_queries
from marketplace.tests.plugin import NetworkBlocked, is_loopback


class TestNetwork:
    def test_refuses_to_leave_the_machine(self) -> None:
        with socket.socket() as connection, pytest.raises(NetworkBlocked):
            connection.connect(("192.0.2.1", 80))

    def test_refuses_to_look_up_a_foreign_name(self) -> None:
        with pytest.raises(NetworkBlocked):
            socket.getaddrinfo("shop.example", 443)

    def test_lets_loopback_through(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()

    @pytest.mark.parametrize(
        ("host", "stays"),
        [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)],
    )
    def test_knows_what_loopback_is(self, host: str, stays: bool) -> None:
        assert is_loopback(host) is stays


class TestProfile:
    def test_is_the_test_profile(self) -> None:
        assert settings.PROFILE == "test"

    def test_keeps_its_data_out_of_the_checkout(self) -> None:
        assert settings.BASE_DIR not in settings.DATA_DIR.parents


@pytest.mark.django_db
class TestDatabase:
    @pytest.mark.skipif(settings.DATABASE_ENGINE != "postgresql", reason="about PostgreSQL alone")
    def test_is_made_and_dropped_without_the_time_outs_of_the_product(self) -> None:
        with connection._nodb_cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            assert cursor.fetchone() == ("0",)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            assert cursor.fetchone() == ("5s",)


@pytest.mark.django_db
class TestCast:
    def test_has_six_people_with_ids_of_their_own(
        self,
        buyer: User,
        seller: User,
        employee: User,
        courier: User,
        admin: User,
        stranger: User,
    ) -> None:
        people = [buyer, seller, employee, courier, admin, stranger]

        assert len({person.public_id for person in people}) == 6
        assert buyer.check_password("Password123!")

    def test_assert_queries_names_one_query_too_many(self, buyer: User) -> None:
        with pytest.raises(AssertionError, match="1 queries, at most 0"), assert_queries(0):
            User.objects.get(pk=buyer.pk)
