"""The links "Log in" and "Log out" of the browsable API, under the names that Django REST framework gives them."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from dashboard.account.signing_in import SignIn

app_name = "rest_framework"
urlpatterns = [path("login/", SignIn.as_view(), name="login"), path("logout/", LogoutView.as_view(), name="logout")]
