"""The members page and what can be done on it: invite, resend, withdraw, change a role, remove, leave."""

from __future__ import annotations

from contextlib import nullcontext
from smtplib import SMTPException

from anymail.exceptions import AnymailError  # type: ignore[import-untyped]
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import letters, members
from accounts.decorators import account_required, billing_admin_required
from accounts.forms import InviteForm, RoleForm
from accounts.models import Account, Invitation, Member
from accounts.requests import AccountRequest
from billing import seats

LAST_OWNER = "An account needs an owner. Make somebody else owner first."


@require_safe
@account_required
def index(request: AccountRequest) -> HttpResponse:
    return _page(request, InviteForm(by=request.member))


@require_POST
@billing_admin_required
def invite(request: AccountRequest) -> HttpResponse:
    form = InviteForm(request.POST, by=request.member)
    if not form.is_valid():
        return _page(request, form)
    try:
        role, now = form.cleaned_data["role"], timezone.now()
        with seats.room_for(request.account, people=_seats_of(role), now=now):
            invitation, token = members.invite(
                account=request.account,
                email=form.cleaned_data["email"],
                role=role,
                by=request.member,
                now=now,
            )
    except seats.SeatLimitReached as full:
        form.add_error(None, str(full))
    except members.AlreadyMember:
        form.add_error("email", "This person is a member already.")
    except members.AlreadyInvited:
        form.add_error("email", "This address is invited already. Send the letter again from the list above.")
    except members.TooManyInvitations:
        form.add_error(
            None, f"{members.INVITATIONS_PER_HOUR} invitations in an hour is the most. Try again later."
        )
    except members.PersonalAccount:
        messages.error(
            request, "A personal account has one member. Open an organization to work with others."
        )
        return redirect("accounts:members")
    except members.NotAllowed as error:
        raise PermissionDenied from error
    else:
        _post(request, invitation, token)
        return redirect("accounts:members")
    return _page(request, form)


@require_POST
@billing_admin_required
def resend(request: AccountRequest, pk: int) -> HttpResponse:
    invitation = get_object_or_404(Invitation, pk=pk, account=request.account)
    now = timezone.now()
    # An invitation that ran out gave its seat back.
    people = 0 if invitation.is_open(now) else _seats_of(invitation.role)
    try:
        with seats.room_for(request.account, people=people, now=now):
            invitation, token = members.resend(invitation=invitation, by=request.member, now=now)
    except seats.SeatLimitReached as full:
        messages.error(request, str(full))
    except members.InvitationClosed:
        messages.error(request, "This invitation was used or withdrawn. Invite the address again.")
    except members.TooManyInvitations:
        messages.error(
            request, f"{members.INVITATIONS_PER_HOUR} letters in an hour is the most. Try again later."
        )
    except members.NotAllowed as error:
        raise PermissionDenied from error
    else:
        _post(request, invitation, token)
    return redirect("accounts:members")


@require_POST
@billing_admin_required
def revoke(request: AccountRequest, pk: int) -> HttpResponse:
    invitation = get_object_or_404(Invitation, pk=pk, account=request.account)
    try:
        members.revoke_invitation(invitation=invitation, by=request.member, now=timezone.now())
    except members.InvitationClosed:
        messages.error(request, "This invitation was used or withdrawn before.")
    except members.NotAllowed as error:
        raise PermissionDenied from error
    else:
        messages.success(request, f"The invitation for {invitation.email} no longer works.")
    return redirect("accounts:members")


@require_POST
@billing_admin_required
def change_role(request: AccountRequest, pk: int) -> HttpResponse:
    member = get_object_or_404(Member, pk=pk, account=request.account)
    form = RoleForm(request.POST, by=request.member)
    if not form.is_valid():
        raise PermissionDenied
    role = form.cleaned_data["role"]
    more = _seats_of(role) - _seats_of(member.role)
    try:
        if more > 0:
            with seats.room_for(request.account, people=more, now=timezone.now()):
                member = members.change_role(member=member, role=role, by=request.member, now=timezone.now())
        else:
            member = members.change_role(member=member, role=role, by=request.member, now=timezone.now())
    except seats.SeatLimitReached as full:
        messages.error(request, str(full))
    except members.LastOwner:
        messages.error(request, LAST_OWNER)
    except (members.NotAllowed, members.PersonalAccount) as error:
        raise PermissionDenied from error
    else:
        messages.success(request, f"{member.user.email} is now {member.get_role_display().lower()}.")
    return redirect("accounts:members")


@require_POST
@account_required
def remove(request: AccountRequest, pk: int) -> HttpResponse:
    """Owners and admins remove others; everybody may leave."""
    member = get_object_or_404(Member.objects.select_related("user"), pk=pk, account=request.account)
    leaving = member.user_id == request.user.pk
    try:
        members.remove(member=member, by=request.member, now=timezone.now())
    except members.LastOwner:
        messages.error(request, LAST_OWNER)
    except (members.NotAllowed, members.PersonalAccount) as error:
        raise PermissionDenied from error
    else:
        name = request.account.name
        messages.success(
            request, f"You left {name}." if leaving else f"{member.user.email} is out of {name}."
        )
        if leaving:
            return redirect("/")
    return redirect("accounts:members")


@require_http_methods(["GET", "HEAD", "POST"])
@account_required
def hand_over(request: AccountRequest, pk: int) -> HttpResponse:
    """Ask once, then make somebody else the owner; whoever handed over stays as an admin."""
    member = get_object_or_404(Member.objects.select_related("user"), pk=pk, account=request.account)
    if request.member.role != Member.Role.OWNER or member.pk == request.member.pk:
        raise PermissionDenied
    if request.method != "POST":
        return render(request, "accounts/hand_over.html", {"heir": member})
    now = timezone.now()
    # A guest who becomes the owner takes a seat.
    more = 1 - _seats_of(member.role)
    room = seats.room_for(request.account, people=more, now=now) if more else nullcontext()
    try:
        with room:
            members.hand_over(member=member, by=request.member, now=now)
    except seats.SeatLimitReached as full:
        messages.error(request, str(full))
    except (members.NotAllowed, members.PersonalAccount) as error:
        raise PermissionDenied from error
    else:
        messages.success(
            request, f"{member.user.email} is now the owner of {request.account.name}, and you are an admin."
        )
    return redirect("accounts:members")


def _seats_of(role: str) -> int:
    return 0 if role == Member.Role.GUEST else 1


def _post(request: AccountRequest, invitation: Invitation, token: str) -> None:
    try:
        letters.send_invitation(invitation=invitation, token=token)
    except (SMTPException, OSError, AnymailError):
        messages.error(
            request, f"The letter to {invitation.email} could not be sent. Send it again from the list."
        )
    else:
        messages.success(request, f"An invitation is on its way to {invitation.email}.")


def _page(request: AccountRequest, form: InviteForm) -> HttpResponse:
    now = timezone.now()
    mine = members.conferrable(request.member)
    people = request.account.members.select_related("user").order_by("joined_at", "pk")
    open_invitations = request.account.invitations.filter(accepted_at=None, revoked_at=None).order_by(
        "created_at"
    )
    context = {
        "form": form,
        "seats_sold": seats.sold(request.account, now=now),
        "seats_taken": seats.taken(request.account, now=now),
        "is_personal": request.account.kind == Account.Kind.PERSONAL,
        "people": [(person, person.role in mine and len(mine) > 0) for person in people],
        "roles": [(role.value, role.label) for role in reversed(mine)],
        "invitations": [
            (invitation, invitation.is_open(now), invitation.role in mine) for invitation in open_invitations
        ],
    }
    return render(request, "accounts/members.html", context, status=422 if form.errors else 200)
