"""A client that answers receipts (XEP-0184) by itself: JID PASSWORD PORT."""

import sys

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.register_plugin("xep_0184")
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("failed_auth", lambda _: sys.exit("wrong password"))

    async def start(self, _):
        self.send_presence()
        # Answered when the server has processed the presence.
        await self.get_roster()
        print("ready", flush=True)


client = Client(sys.argv[1], sys.argv[2])
client.connect(("127.0.0.1", int(sys.argv[3])), disable_starttls=True)
client.process()
