"""Every setting: a machine differs only by its environment, and a missing secret stops the start."""

from config.settings.apps import *
from config.settings.broker import *
from config.settings.business import *
from config.settings.database import *
from config.settings.logs import *
from config.settings.mail import *
from config.settings.pages import *
from config.settings.people import *
from config.settings.process import *
from config.settings.security import *
from config.settings.stripe import *
