"""A route of the fast path: whom it stands for, and how what has gathered is served."""

from collections.abc import Callable, Sequence
from contextvars import Token
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.urls import resolve

from marketplace.core import limits, observe
from marketplace.core.context import request_id
from marketplace.core.errors import AppError, Unavailable
from marketplace.core.http import ApiView
from marketplace.core.jsontext import write_json
from marketplace.core.problems import headers_of, log_failure, to_app_error, wire_error
from marketplace.core.queries import QueryCount, counted_queries
from marketplace.fastpath.requests import FastAnswer, FastRequest, LeaveToDjango, Outcome
from marketplace.realtime.batch import GATHER_S

Act = Callable[[Sequence[FastRequest]], list[Outcome]]


@dataclass(frozen=True, eq=False)
class FastRoute:
    """One method of one path, which may end in `{…}`: a part without a slash.

    act: serves many requests at once, each accepted or refused by itself, in their order; it calls
    `count` for each when it knows who asks. reserved: ends of the path that belong to other routes.
    longest_gather_s: longer where a batch takes long, so that it is worth waiting for those who
    were just answered.
    """

    method: str
    path: str
    act: Act
    reserved: frozenset[str] = frozenset()
    longest_gather_s: float = GATHER_S

    @cached_property
    def view(self) -> type[ApiView]:
        """The view that Django serves this path with: its words and its bucket hold here too."""
        found: Any = self._match.func
        view: type[ApiView] = found.view_class
        return view

    @cached_property
    def pattern(self) -> str:
        """The route's name in figures."""
        return f"/{self._match.route.strip('^$')}"

    @cached_property
    def _match(self) -> Any:
        return resolve(self.path)

    def serve(self, requests: Sequence[FastRequest]) -> list[Outcome]:
        """Serve a batch. What fails for one of them must not fail the others: then one by one."""
        count = QueryCount()
        token: Token[QueryCount | None] = counted_queries.set(count)
        try:
            return self.act(requests)
        except LeaveToDjango as way:
            return [way] * len(requests)
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            failure = to_app_error(error)
            if len(requests) == 1 or isinstance(failure, Unavailable):
                log_failure(failure, error)
                return [failure] * len(requests)
        finally:
            counted_queries.reset(token)
            observe.count_queries(count)
            for request in requests:
                request.queries = count
        return [outcome for request in requests for outcome in self.serve([request])]

    def count(self, request: FastRequest) -> None:
        """Take one of the caller's requests. Raises BucketEmpty."""
        bucket = self.view.bucket
        if bucket is None:
            return
        try:
            request.allowance = limits.check(bucket, request.caller)
        except limits.BucketEmpty as error:
            request.allowance = error.allowance
            raise

    def refusal(self, request: FastRequest, error: AppError) -> FastAnswer:
        """The error in the words of this route's clients."""
        # Errors name the request that they answer.
        token = request_id.set(request.id)
        wire = wire_error(
            error, path=request.path, dialect=self.view.dialect, texts=self.view.error_texts
        )
        request_id.reset(token)
        return FastAnswer(
            wire.status, write_json(wire.body), headers_of(error), content_type=wire.content_type
        )
