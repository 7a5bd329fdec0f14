"""How the project is served: Daphne and uvicorn around one WebSocket connection of our own."""
