"""The protocol of a client: commands on standard input, one a line, and one line of JSON as the answer to each.

    open PATH    opens the database, and creates it if it is missing, with nothing but the library's defaults: {}
    value SQL    runs a statement: {"value": first column of the first row, or null}
    write N      N transactions, one after the other, as a user of the library writes them: {"failed": number, "why": text of the first}
    close        closes the database: {}

A command that fails is answered by {"error": text}."""
import json
import sys


def text_of(number):
    return f"row {number} " * 20


def counted(number, write):
    """Calls write(text) `number` times and counts the calls that fail."""
    failed, why = 0, ""
    for at in range(number):
        try:
            write(text_of(at))
        except Exception as error:  # every library has exceptions of its own
            failed, why = failed + 1, why or f"{type(error).__name__}: {error}"
    return {"failed": failed, "why": why}


def serve(client):
    """`client` has open(path), value(sql), write(text) and close()."""
    for line in sys.stdin:
        command, _, rest = line.rstrip("\n").partition(" ")
        try:
            if command == "write":
                answer = counted(int(rest), client.write)
            elif command == "value":
                answer = {"value": client.value(rest)}
            else:
                answer = getattr(client, command)(*([rest] if rest else [])) or {}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)
