"""Asks Home Assistant over its WebSocket: websocket.py TOKEN MESSAGE... prints the results."""

import asyncio
import json
import sys

import aiohttp


async def ask(token, messages):
    url = "http://127.0.0.1:8123/api/websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        await socket.receive_json()
        await socket.send_json({"type": "auth", "access_token": token})
        answer = await socket.receive_json()
        assert answer["type"] == "auth_ok", answer
        for number, message in enumerate(messages, 1):
            await socket.send_json({"id": number, **json.loads(message)})
            answer = await socket.receive_json()
            assert answer["success"], answer
            yield answer["result"]


async def main(token, *messages):
    print(json.dumps([result async for result in ask(token, messages)]))


asyncio.run(main(*sys.argv[1:]))
