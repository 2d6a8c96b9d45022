"""Addresses, below /account/."""

from django.urls import path

from dashboard.account import pages, signing_in

urlpatterns = [
    path("", pages.Start.as_view(), name="account-start"),
    path("login/", signing_in.SignIn.as_view(), name="account-login"),
    path("login/code/", signing_in.Code.as_view(), name="account-code"),
    path("login/new-password/", signing_in.Expired.as_view(), name="account-expired"),
    path("logout/", signing_in.sign_out, name="account-logout"),
    path("tokens/", pages.Tokens.as_view(), name="account-tokens"),
    path("application-credentials/", pages.ApplicationCredentials.as_view(), name="account-application-credentials"),
    path("access-keys/", pages.AccessKeys.as_view(), name="account-access-keys"),
    path("second-factor/", pages.SecondFactor.as_view(), name="account-second-factor"),
    path("password/", pages.Password.as_view(), name="account-password"),
]
