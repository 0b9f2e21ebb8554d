"""Asks Home Assistant over its WebSocket: websocket.py TOKEN MESSAGE... prints for each message whether
it went well, and the result, or the code of the error."""

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
            message = json.loads(message)
            await socket.send_json({"id": number, **message})
            answer = await socket.receive()
            if answer.type is aiohttp.WSMsgType.TEXT:
                answer = answer.json()
                yield answer["success"], answer.get("result", answer.get("error", {}).get("code"))
            else:
                # It may be gone to restart before it answers.
                assert message["type"] == "backup/restore", answer
                yield True, None


async def main(token, *messages):
    print(json.dumps([result async for result in ask(token, messages)]))


asyncio.run(main(*sys.argv[1:]))
