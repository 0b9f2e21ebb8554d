"""What the recorder's database holds: database.py FOLDER prints its soundness and the counter's states."""

import json
import sqlite3
import sys

QUERY = """
    SELECT state FROM states JOIN states_meta USING (metadata_id)
    WHERE states_meta.entity_id = 'counter.ticks' AND state GLOB '[0-9]*' ORDER BY state_id
"""

# Writable: only so is what stands in the write-ahead log read without the help of another process.
database = sqlite3.connect(f"file:{sys.argv[1]}/home-assistant_v2.db?mode=rw", uri=True)
print(
    json.dumps(
        {
            "integrity": [row[0] for row in database.execute("PRAGMA integrity_check")],
            "ticks": [int(row[0]) for row in database.execute(QUERY)],
        }
    )
)
