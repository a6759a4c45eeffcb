"""Pages, admin and images: everything but the event stream (see asgi.py)."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sai_dashboard.settings")
application = get_wsgi_application()
