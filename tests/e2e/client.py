"""Prints the alerts in an agency's inbox as JSON, newest first.

    python client.py ADDRESS NAME FOLDER

ADDRESS is the node's host and port, NAME the name in its certificate, such as
`housing.node.pilot.causeway`. FOLDER holds key.pem, certificate.pem and ca.pem of an operator whom the
node's settings list.
"""

import json
import sys
from pathlib import Path

import grpc

from causeway.v1 import alerts_pb2, inbox_pb2, inbox_pb2_grpc


def alerts(inbox):
    """Yields every alert, a page at a time."""
    request = inbox_pb2.ListAlertsRequest(page_size=50)
    while True:
        page = inbox.ListAlerts(request, timeout=10)
        yield from page.entries
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def main(address, name, folder):
    folder = Path(folder)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(folder / "ca.pem").read_bytes(),
        private_key=(folder / "key.pem").read_bytes(),
        certificate_chain=(folder / "certificate.pem").read_bytes(),
    )
    # The certificate holds a name of its own, which need not be the host's.
    options = [("grpc.ssl_target_name_override", name)]
    with grpc.secure_channel(address, credentials, options) as channel:
        inbox = inbox_pb2_grpc.InboxServiceStub(channel)
        for entry in alerts(inbox):
            alert = entry.alert
            print(json.dumps({
                "alert_id": alert.alert_id.hex(),
                "revision": alert.revision,
                "tier": alerts_pb2.Tier.Name(alert.tier),
                "duty": alerts_pb2.Duty.Name(alert.duty),
                "reasons": [line.sentence for line in alert.lines],
                # Your own references: look up the names in your own system.
                "records": [record.reference for record in entry.records],
            }))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__.strip())
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"could not read {error.filename}: {error.strerror}")
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
