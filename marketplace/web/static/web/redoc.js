// Starts ReDoc on this server's own document.
const place = document.getElementById("document");
window.Redoc.init(place.dataset.url, { nativeScrollbars: true, hideDownloadButton: true, expandResponses: "200,201" }, place);
