"""A lost Redis is told apart from a fault of ours, also where the driver stumbles over the loss."""

from redis.exceptions import ConnectionError as RedisConnectionError

from marketplace.realtime.layer import loss_behind


def caught_after(first: Exception, second: Exception) -> Exception:
    """`second`, as it is raised while `first` is handled."""
    try:
        try:
            raise first
        except type(first):
            raise second  # noqa: B904  # the driver names no cause either
    except type(second) as error:
        return error


class TestLossBehind:
    def test_is_the_loss_itself(self) -> None:
        lost = RedisConnectionError("Connection closed by server.")

        assert loss_behind(lost) is lost

    def test_is_found_behind_what_the_driver_stumbled_over(self) -> None:
        lost = RedisConnectionError("Connection closed by server.")

        stumbled = caught_after(lost, AttributeError("'NoneType' has no attribute 'writelines'"))

        assert loss_behind(stumbled) is lost

    def test_is_not_there_where_the_fault_is_ours(self) -> None:
        assert loss_behind(caught_after(KeyError("a"), AttributeError("b"))) is None
