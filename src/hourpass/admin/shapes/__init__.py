"""What the administration asks and answers: one struct for each. The OpenAPI description is made from them.

Instants are RFC 3339 texts, durations whole seconds. A member that is UNSET was not given.
"""

from hourpass.admin.shapes.asked import *  # noqa: F403 - one name for each struct, in whichever file it is
from hourpass.admin.shapes.audit import *  # noqa: F403
from hourpass.admin.shapes.grants import *  # noqa: F403
from hourpass.admin.shapes.imports import *  # noqa: F403
from hourpass.admin.shapes.keys import *  # noqa: F403
from hourpass.admin.shapes.overview import *  # noqa: F403
from hourpass.admin.shapes.sign_ins import *  # noqa: F403
from hourpass.admin.shapes.signing_keys import *  # noqa: F403
from hourpass.admin.shapes.tokens import *  # noqa: F403
from hourpass.admin.shapes.webhooks import *  # noqa: F403
