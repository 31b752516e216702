"""The pages of the room `accounts`."""

from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView

from accounts.views import account, closing, destinations, invitations, keys, members, notifications

app_name = "accounts"
urlpatterns: list[URLPattern | URLResolver] = [
    path("account/", account.settings, name="settings"),
    path("account/none/", account.none, name="none"),
    path("account/switch/", account.switch, name="switch"),
    path("account/members/", members.index, name="members"),
    path("account/members/invite/", members.invite, name="invite"),
    path("account/members/<int:pk>/role/", members.change_role, name="change_role"),
    path("account/members/<int:pk>/remove/", members.remove, name="remove"),
    path("account/members/<int:pk>/hand-over/", members.hand_over, name="hand_over"),
    path("account/invitations/<int:pk>/resend/", members.resend, name="resend"),
    path("account/invitations/<int:pk>/revoke/", members.revoke, name="revoke"),
    path("account/keys/", keys.index, name="keys"),
    path("account/keys/new/", keys.make, name="make_key"),
    path("account/keys/<int:pk>/roll/", keys.roll, name="roll_key"),
    path("account/keys/<int:pk>/revoke/", keys.revoke, name="revoke_key"),
    path("account/export/", closing.export, name="export"),
    path("account/close/", closing.close, name="close"),
    path("account/closed/", closing.closed, name="closed"),
    path("invitations/<str:token>/", invitations.show, name="invitation"),
    path("invitations/<str:token>/accept/", invitations.accept, name="accept"),
    path("organizations/new/", account.new_organization, name="new_organization"),
    path("login/", RedirectView.as_view(pattern_name="account_login", query_string=True)),
    path("profile/", account.profile, name="profile"),
    path("notifications/", notifications.index, name="notifications"),
    path("notifications/<int:pk>/read/", notifications.read, name="read_notification"),
    path("notifications/read/", notifications.read_all, name="read_notifications"),
    path("notifications/mail/", notifications.mail_preferences, name="mail_preferences"),
    path("notifications/leave/<str:token>/", notifications.unsubscribe, name="unsubscribe"),
    path("notifications/elsewhere/", destinations.index, name="destinations"),
    path("notifications/elsewhere/<int:pk>/", destinations.show, name="destination"),
    path("notifications/elsewhere/<int:pk>/choose/", destinations.choose, name="choose_destination"),
    path("notifications/elsewhere/<int:pk>/secret/", destinations.roll, name="roll_destination"),
    path("notifications/elsewhere/<int:pk>/test/", destinations.send_test, name="test_destination"),
    path("notifications/elsewhere/<int:pk>/switch/", destinations.switch, name="switch_destination"),
    path("notifications/elsewhere/<int:pk>/remove/", destinations.remove, name="remove_destination"),
    path("notifications/elsewhere/<int:pk>/again/<int:delivery>/", destinations.again, name="deliver_again"),
]
