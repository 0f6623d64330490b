"""What the process loads from which tests fork gateways; nothing else imports it.

Also what a gateway loads only once it needs it, as nearly all of tests do. What is loaded for good is no
matter of the garbage collector: each gateway would look through all of it at its start.
"""

import gc

import sqlalchemy.ext.compiler  # noqa: F401 - loaded before the fork, as all here
import uvicorn.lifespan.off  # noqa: F401 - see above

import gateway.broker.embedded  # noqa: F401 - see above
import tests.command_program  # noqa: F401 - see above

gc.collect()
gc.freeze()
