"""Starts a run, waits for its result and asks the service: with nats-py and the wire format alone."""

import asyncio
import json
import secrets
import sys

import nats


async def main(url: str) -> None:
    nc = await nats.connect(url)
    js = nc.jetstream()
    run_id = "python-" + secrets.token_hex(4)
    trace_id = secrets.token_hex(16)

    # The result is a message too, so listen first.
    done = await nc.subscribe(f"jetway.default.done.chain.{run_id}")
    await js.publish(
        "jetway.default.start.chain",
        b"0",
        headers={
            "Jetway-Run-Id": run_id,
            "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
        },
    )
    result = await done.next_msg(timeout=30)

    # Or ask the service, and wait for the result in one request.
    asked = await nc.request(
        "jetway.default.api.start.chain", b"5", timeout=35, headers={"Jetway-Wait": "30s"}
    )
    refused = await nc.request("jetway.default.api.start.chain", b"not json", timeout=10)
    print(
        json.dumps(
            {
                "done": json.loads(result.data),
                "trace_id": trace_id,
                "asked": json.loads(asked.data),
                "refused": {
                    "code": refused.headers["Nats-Service-Error-Code"],
                    "message": refused.headers["Nats-Service-Error"],
                },
            }
        )
    )
    await nc.close()


asyncio.run(main(sys.argv[1]))
