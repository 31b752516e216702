"""The site as it is, with one more address to compare with: a view that only asks the database for 1."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.urls import urlpatterns as the_site


def select_1(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return HttpResponse(str(cursor.fetchone()[0]), content_type="text/plain")


urlpatterns = [path("select-1/", select_1), *the_site]
