"""Routes of accounts under `/api/v1`."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("auth/register", views.RegisterView.as_view()),
    path("auth/otp/request", views.RequestCodeView.as_view()),
    path("auth/otp/verify", views.VerifyCodeView.as_view()),
    path("auth/refresh", views.RefreshView.as_view()),
    path("auth/logout", views.LogoutView.as_view()),
    path("auth/me", views.WhoAmIView.as_view()),
    path("users/me", views.ProfileView.as_view()),
    path(
        "users/me/addresses",
        views.AddressViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path(
        "users/me/addresses/<str:address_id>",
        views.AddressViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
    ),
    path("users/<str:user_id>", views.UserView.as_view()),
]
