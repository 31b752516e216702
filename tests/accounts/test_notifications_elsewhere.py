"""Slack and webhooks of an organization: signed, tried again, safe for our network, in the hands of its admins."""

import base64
import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from accounts import notifications
from accounts.models import Account, Delivery, Destination, Member
from accounts.notifications import destinations, kinds, outbox, outgoing
from tests import factories
from tests.accounts.conftest import acting_for

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Server:
    """A customer's server: keeps what it gets and answers as told."""

    url: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    # Sends its answer in pieces, this many seconds apart.
    pause: float = 0.0
    body: bytes = b"ok"
    got: list[tuple[str, Message, bytes]] = field(default_factory=list)
    running: ThreadingHTTPServer | None = None

    def speak_tls(self, folder: Path) -> None:
        """With a certificate that it made itself."""
        assert self.running is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(folder))
        self.running.socket = context.wrap_socket(self.running.socket, server_side=True)
        self.url = self.url.replace("http://", "https://")


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            about.got.append((self.path, self.headers, body))
            try:
                self.wfile.write(f"HTTP/1.0 {about.status} Said\r\n".encode())
                for name, value in about.headers.items():
                    self.wfile.write(f"{name}: {value}\r\n".encode())
                while about.pause and not ended.wait(about.pause):
                    self.wfile.write(b"X-Slowly: yes\r\n")
                self.wfile.write(b"\r\n" + about.body)
            except OSError:
                return  # the caller had enough

        def log_message(self, *_: object) -> None:
            pass

    ended = threading.Event()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.handle_error = lambda *_: None  # a caller that hangs up is no trouble of the server's
    about = Server(url=f"http://127.0.0.1:{running.server_port}/hooks/tally-0a1b2c3d", running=running)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield about
    ended.set()
    running.shutdown()
    running.server_close()


def owner_of(account: Account) -> Member:
    return account.members.get(role="owner")


def add(account: Account, server: Server, channel: str = "webhook", **more):
    given = {"categories": ["billing"], "by": owner_of(account), "now": timezone.now(), **more}
    return destinations.add(account=account, channel=channel, url=server.url, **given)


def tell(account: Account, key: str = "receipt:in_1", **context):
    given = {"plan": "Pro", "amount": 2900, "currency": "usd", **context}
    with transaction.atomic():
        return notifications.notify(account=account, kind="receipt", key=key, now=NOON, context=given)


def post(now: datetime | None = None) -> int:
    return outbox.deliver_due(now=now or timezone.now())


def test_a_server_gets_a_message_it_can_check(account, server):
    _, secret = add(account, server)
    tell(account)
    post()

    ((path, headers, body),) = server.got
    assert path == "/hooks/tally-0a1b2c3d"
    said = json.loads(body)
    assert said["type"] == "receipt"
    assert said["timestamp"] == "2026-11-20T12:00:00Z"
    assert said["data"]["amount"] == 2900
    assert said["data"]["account"] == str(account.pk)
    assert said["data"]["key"] == "receipt:in_1"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(right).decode()
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["Host"] == server.url.split("/")[2]


def test_slack_gets_words_that_call_nobody(account, server):
    account.name = "<!channel> & *Co*"
    account.save()
    add(account, server, channel="slack")
    tell(account)
    post()

    text = json.loads(server.got[0][2])["text"]
    assert text.startswith("*Receipt: $29.00 for Pro*\nWe received $29.00 for &lt;!channel&gt; &amp; *Co*")


def test_only_what_was_chosen_goes_there_and_nothing_that_concerns_one_person(account, server, alice):
    add(account, server, categories=["usage"])
    tell(account)
    with transaction.atomic():
        for kind, to in (("quota", "everyone"), ("role_changed", alice), ("cheaper_plan", alice)):
            notifications.notify(account=account, kind=kind, key=kind, now=NOON, context={}, to=to)
    post()

    assert [json.loads(body)["type"] for _, _, body in server.got] == ["quota"]


def test_a_new_secret_signs_beside_the_old_one_for_a_day(account, server):
    destination, old = add(account, server)
    new = destinations.roll_secret(destination=destination, by=owner_of(account), now=timezone.now())
    assert new != old

    tell(account)
    post()
    tell(account, key="receipt:in_2")
    post(timezone.now() + timedelta(hours=25))

    first, second = (headers["webhook-signature"].split(" ") for _, headers, _ in server.got)
    assert (len(first), len(second)) == (2, 1)


def test_no_secret_and_no_whole_address_is_in_the_database(account, server):
    destination, secret = add(account, server)

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_destination")
        row = str(cursor.fetchall())
    assert secret not in row
    assert server.url not in row
    assert destinations.url_of(destination) == server.url


def test_a_server_that_is_down_is_asked_again_with_the_same_id_and_then_has_it_once(account, server):
    add(account, server)
    tell(account)
    server.status = 503
    assert post() == 1  # the mail
    owed = Delivery.objects.get(channel="webhook")
    assert owed.last_error == "NotReached: It answered 503."

    server.status = 204
    assert post(owed.next_attempt_at) == 1
    assert post(owed.next_attempt_at + timedelta(days=9)) == 0

    assert len({headers["webhook-id"] for _, headers, _ in server.got}) == 1
    assert [tried.status_code for tried in owed.tries.order_by("pk")] == [503, 204]


def test_the_schedule_ends_after_three_days_and_the_button_starts_it_anew(account, alice, server):
    destination, _ = add(account, server)
    tell(account)
    server.status = 500
    now = timezone.now()
    for _ in range(11):
        post(now)
        now = Delivery.objects.get(channel="webhook").next_attempt_at
    owed = Delivery.objects.get(channel="webhook")
    assert (owed.state, owed.attempts, len(server.got)) == ("given_up", 11, 11)

    server.status = 200
    pressed = acting_for(account, alice).post(
        f"/notifications/elsewhere/{destination.pk}/again/{owed.pk}/", follow=True
    )

    assert "It is on its way again." in pressed.content.decode()
    post(timezone.now())
    assert Delivery.objects.get(channel="webhook").state == "delivered"
    assert len(server.got) == 12


def test_one_dead_server_does_not_hold_up_everybodys_mail(account, server):
    add(account, server)
    server.status = 500
    for number in range(30):
        tell(account, key=f"receipt:in_{number}")

    assert post() == 30  # the mails

    assert len(mail.outbox) == 30
    assert len(server.got) < 30  # after the first refusal the rest waits with it


def test_after_five_days_without_success_it_is_switched_off_and_its_owners_are_told(account, alice, server):
    destination, _ = add(account, server)
    tell(account)
    server.status = 500
    post()
    post(timezone.now() + timedelta(days=6))

    destination.refresh_from_db()
    assert destination.disabled_reason == "Nothing got through for 5 days."
    post()
    assert mail.outbox[-1].subject.startswith("Webhook gets no more messages: http://127.0.0.1")
    calls = len(server.got)
    tell(account, key="receipt:in_2")
    post(timezone.now() + timedelta(days=7))
    assert len(server.got) == calls

    server.status = 200
    page = acting_for(account, alice)
    page.post(f"/notifications/elsewhere/{destination.pk}/switch/", {"to": "on"})
    post()
    destination.refresh_from_db()
    assert (destination.is_on, destination.failing_since) == (True, None)
    assert len(server.got) == calls + 1  # what waited; what was told while it was off was never meant for it


def test_one_success_ends_the_counting_of_days(account, server):
    destination, _ = add(account, server)
    tell(account)
    server.status = 500
    post()
    server.status = 200
    post(timezone.now() + timedelta(days=1))

    destination.refresh_from_db()
    assert destination.failing_since is None


def test_a_server_that_says_gone_is_switched_off_at_once(account, server):
    destination, _ = add(account, server)
    tell(account)
    server.status = 410
    post()

    destination.refresh_from_db()
    assert destination.disabled_reason.startswith("It answered 410")


def test_a_redirect_is_not_followed(account, server):
    add(account, server)
    server.status, server.headers = 302, {"Location": server.url + "/elsewhere"}
    tell(account)
    post()

    assert [path for path, _, _ in server.got] == ["/hooks/tally-0a1b2c3d"]
    assert Delivery.objects.get(channel="webhook").last_error == "NotReached: It answered 302."


def test_an_endless_answer_is_not_read_to_its_end(account, server):
    add(account, server)
    server.body = b"x" * 5_000_000
    tell(account)
    started = time.monotonic()
    post()

    assert Delivery.objects.get(channel="webhook").state == "delivered"
    assert time.monotonic() - started < outgoing.SECONDS


def test_a_server_that_answers_a_little_at_a_time_is_cut_off(account, server, monkeypatch):
    monkeypatch.setattr(outgoing, "SECONDS", 1.0)
    add(account, server)
    server.pause = 0.2
    tell(account)
    started = time.monotonic()
    post()

    assert Delivery.objects.get(channel="webhook").state == "waiting"
    assert time.monotonic() - started < 3.0


PRIVATE = [
    "https://127.0.0.1/hook",
    "https://2130706433/hook",
    "https://0x7f000001/hook",
    "https://0177.0.0.1/hook",
    "https://127.1/hook",
    "https://localhost/hook",
    "https://0.0.0.0/hook",
    "https://169.254.169.254/latest/meta-data/",
    "https://10.0.0.8/hook",
    "https://172.16.4.4/hook",
    "https://192.168.1.1/hook",
    "https://100.64.0.1/hook",
    "https://[::1]/hook",
    "https://[::]/hook",
    "https://[::ffff:127.0.0.1]/hook",
    "https://[::ffff:a9fe:a9fe]/hook",
    "https://[64:ff9b::7f00:1]/hook",
    "https://[2002:7f00:1::]/hook",
    "https://[fe80::1]/hook",
    "https://[fd00::1]/hook",
    "https://224.0.0.1/hook",
]
MALFORMED = [
    "",
    "hook",
    "ftp://example.com/",
    "http://example.com/hook",
    "https://",
    "https:///hook",
    "https://user:secret@example.com/",
    "https://example.com:22/",
    "https://example.com:99999/",
    "https://example.com/a b",
    "https://exämple.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/\r\nHost: evil",
    "javascript:alert(1)",
    "https://example.com/" + "x" * 500,
]


@pytest.mark.parametrize("url", PRIVATE + MALFORMED)
def test_addresses_in_our_own_network_or_of_no_meaning_are_refused_when_typed(account, alice, settings, url):
    settings.OUTGOING_TO_PRIVATE_ADDRESSES = False

    answer = acting_for(account, alice).post(
        "/notifications/elsewhere/", {"channel": "webhook", "url": url, "categories": ["billing"]}
    )

    assert answer.status_code == 422
    assert not Destination.objects.exists()


def test_a_name_that_flips_to_our_own_network_is_refused_when_called(account, server, settings, monkeypatch):
    """Whatever the name said when it was typed: what it says at the call counts, and that very address is called."""
    answers = iter([PUBLIC, "127.0.0.1", PUBLIC])
    settings.OUTGOING_TO_PRIVATE_ADDRESSES = False
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: resolved(next(answers), port))
    called = []
    monkeypatch.setattr(socket, "create_connection", lambda address, **_: called.append(address) or refuse())
    url = "https://hooks.example.com/tally"
    destinations.add(
        account=account,
        channel="webhook",
        url=url,
        categories=["billing"],
        by=owner_of(account),
        now=timezone.now(),
    )
    tell(account)

    post()
    owed = Delivery.objects.get(channel="webhook")
    assert owed.last_error.startswith("NotAllowed: This name leads into a private network")
    assert called == []

    post(owed.next_attempt_at)
    assert called == [(PUBLIC, 443)]  # the address that was judged, not the name once more


def test_one_private_address_among_public_ones_spoils_the_name(settings, monkeypatch):
    settings.OUTGOING_TO_PRIVATE_ADDRESSES = False
    both = resolved(PUBLIC, 443) + resolved("10.0.0.1", 443)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)

    with pytest.raises(outgoing.NotAllowed):
        outgoing.check("https://hooks.example.com/")


def test_slack_is_at_slack(account, alice, settings, monkeypatch):
    settings.OUTGOING_TO_PRIVATE_ADDRESSES = False
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: resolved(PUBLIC, port))
    page = acting_for(account, alice)
    form = {"channel": "slack", "categories": ["billing"]}

    wrong = page.post("/notifications/elsewhere/", {**form, "url": "https://hooks.slack.com.evil.example/x"})
    assert wrong.status_code == 422
    assert "https://hooks.slack.com/" in wrong.content.decode()
    assert (
        page.post("/notifications/elsewhere/", {**form, "url": "https://hooks.slack.com/services/T/B/x"})
    ).status_code == 302


def test_the_secret_is_shown_once_and_the_log_says_what_was_answered(account, alice, server):
    page = acting_for(account, alice)

    made = page.post(
        "/notifications/elsewhere/",
        {"channel": "webhook", "url": server.url + "?token=abc", "categories": ["billing", "usage"]},
    )
    assert made.status_code == 200
    assert "no-store" in made.headers["Cache-Control"]
    assert "whsec_" in made.content.decode()
    destination = Destination.objects.get()
    server.body = b"<b>internal things</b>"
    tell(account)
    post()

    shown = page.get(f"/notifications/elsewhere/{destination.pk}/").content.decode()
    assert "whsec_" not in shown
    assert "token=abc" not in shown
    assert "Receipt: $29.00 for Pro" in shown
    assert ": 200 " in shown
    assert "internal things" not in shown
    rolled = page.post(f"/notifications/elsewhere/{destination.pk}/secret/")
    assert "whsec_" in rolled.content.decode()
    assert "For 24 hours" in rolled.content.decode()
    assert page.get(f"/notifications/elsewhere/{destination.pk}/secret/").status_code == 405


def test_a_receiver_can_be_tried_with_a_message_that_is_in_nobodys_list(account, alice, bob, server):
    destination, _ = add(account, server, categories=["usage"])
    path = f"/notifications/elsewhere/{destination.pk}/test/"

    assert acting_for(account, bob).post(path).status_code == 403
    pressed = acting_for(account, alice).post(path, follow=True)
    assert "A test is on its way." in pressed.content.decode()
    assert post() == 1

    said = json.loads(server.got[0][2])
    assert (said["type"], said["data"]["by"]) == ("test", "Alice")
    assert not alice.inbox.exists()
    assert mail.outbox == []


def test_nothing_chosen_and_too_many_are_refused_with_words(account, alice, server):
    page = acting_for(account, alice)
    form = {"channel": "webhook", "url": server.url}

    assert "Choose at least one thing" in page.post("/notifications/elsewhere/", form).content.decode()
    for _ in range(destinations.MOST_DESTINATIONS):
        destination, _ = add(account, server)
    full = page.post("/notifications/elsewhere/", {**form, "categories": ["billing"]})
    assert (full.status_code, "at most 10" in full.content.decode()) == (422, True)
    page.post(f"/notifications/elsewhere/{destination.pk}/choose/", {"categories": []})
    destination.refresh_from_db()
    assert destination.categories == ["billing"]
    page.post(f"/notifications/elsewhere/{destination.pk}/choose/", {"categories": ["usage", "evil"]})
    destination.refresh_from_db()
    assert destination.categories == ["usage"]


def test_only_owners_and_admins_of_this_organization_touch_its_destinations(account, bob, charlie, server):
    destination, _ = add(account, server)
    tell(account)
    delivery = Delivery.objects.get(channel="webhook")
    theirs = factories.organization(owner=charlie, name="Charlie's")
    paths = [
        ("get", ""),
        ("post", "choose/"),
        ("post", "secret/"),
        ("post", "switch/"),
        ("post", "remove/"),
        ("post", f"again/{delivery.pk}/"),
    ]

    for method, path in paths:
        url = f"/notifications/elsewhere/{destination.pk}/{path}"
        assert getattr(acting_for(account, bob), method)(url).status_code == 403
        assert getattr(acting_for(theirs, charlie), method)(url).status_code == 404
    assert acting_for(account, bob).get("/notifications/elsewhere/").status_code == 403
    destination.refresh_from_db()
    assert destination.is_on


def test_a_personal_account_is_sent_to_organizations(alice, account):
    page = acting_for(alice.personal_account, alice)

    assert "This is for organizations" in page.get("/notifications/elsewhere/").content.decode()
    form = {"channel": "webhook", "url": "http://127.0.0.1:9999/", "categories": ["billing"]}
    assert page.post("/notifications/elsewhere/", form).status_code == 403


PUBLIC = "93.184.215.14"


def resolved(address: str, port: int):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def refuse():
    raise ConnectionRefusedError


def test_the_recipe_of_the_documentation_tells_ours_from_others(account, server):
    """What docs/messages.md gives to customers is run as it stands there."""
    recipe: dict = {}
    page = Path("docs/messages.md").read_text()
    exec(re.search(r"`{3}python\n(import base64.*?)`{3}", page, re.DOTALL)[1], recipe)
    is_genuine = recipe["is_genuine"]
    _, secret = add(account, server)
    tell(account)
    post()
    _, headers, body = server.got[0]

    assert is_genuine(secret, headers, body)
    assert not is_genuine(secret, headers, body.replace(b"2900", b"9900"))
    assert not is_genuine("whsec_" + base64.b64encode(b"x" * 24).decode(), headers, body)
    headers.replace_header("webhook-timestamp", str(int(time.time()) - 301))
    assert not is_genuine(secret, headers, body)


def test_every_kind_is_in_the_documentation():
    page = Path("docs/messages.md").read_text()

    assert [name for name in kinds.KINDS if f"`{name}`" not in page] == []


def test_a_server_whose_certificate_is_not_for_its_name_gets_nothing(account, server, tmp_path):
    """The connection goes to an address, and is still held to the name."""
    server.speak_tls(tmp_path)
    add(account, server)
    tell(account)
    post()

    assert server.got == []
    assert "Its certificate is not valid" in Delivery.objects.get(channel="webhook").last_error


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.com")])
    now = timezone.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    return path
