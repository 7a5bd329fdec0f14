"""Static files straight from memory of their paths, without a thread hop for all other requests."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise for both kinds of servers: its own middleware is sync only, which would put every
    async request through a thread, and it streams, which ASGI buffers anyway.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answer]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def add_files(self, root: str | Path, prefix: str | None = None) -> None:
        """Take a folder in; one that is not there yet (nothing was collected) is no fault."""
        if Path(root).is_dir():
            super().add_files(root, prefix)

    def __call__(self, request: HttpRequest) -> Answer:
        """A static file if the path names one, else what comes further in."""
        static_file = self.files.get(request.path_info)
        if static_file is None:
            return cast(Answer, self.get_response(request))
        streamed: FileResponse = self.serve(static_file, request)
        response = HttpResponse(streamed.getvalue(), status=streamed.status_code)
        for name, value in streamed.items():
            response[name] = value
        # Not `close()`: that would tell Django that the whole request has ended.
        if streamed.file_to_stream is not None:
            streamed.file_to_stream.close()
        return _at_once(response) if iscoroutinefunction(self) else response


async def _at_once(response: HttpResponse) -> HttpResponseBase:
    return response
