"""Lists of the things of all partners, for operators: `/v1/partners/-/...`."""

from typing import Final

from gateway.http import (
    credentials,
    deliveries,
    endpoints,
    erasures,
    exports,
    history_of_all,
    holds,
    house_deliveries,
    house_endpoints,
    house_replays,
    imports,
    replays,
)
from gateway.http.of_all import of_all

_UNDELIVERED: Final = "What has ended is listed partner by partner."

list_endpoints: Final = of_all(endpoints.list_endpoints, "listAllEndpoints", "The endpoints of all partners")
list_credentials: Final = of_all(
    credentials.list_credentials,
    "listAllCredentials",
    "The credentials of all partners",
    "Those of operators and teams are in `/v1/credentials`.",
)
list_deliveries: Final = of_all(
    deliveries.list_deliveries, "listAllDeliveries", "What is undelivered, of all partners", _UNDELIVERED
)
list_replays: Final = of_all(
    replays.list_replays, "listAllReplays", "The replays of all partners, newest first"
)
list_history: Final = of_all(history_of_all.list_all_history)
list_imports: Final = of_all(
    imports.list_imports, "listAllImports", "The imports of all partners, newest first"
)
list_exports: Final = of_all(
    exports.list_exports, "listAllExports", "The exports of all partners, newest first"
)
list_holds: Final = of_all(holds.list_holds, "listAllHolds", "The legal holds of all partners, newest first")
list_erasures: Final = of_all(
    erasures.list_erasures, "listAllErasures", "The erasures of all partners, newest first"
)
list_house_endpoints: Final = of_all(
    house_endpoints.list_endpoints, "listAllHouseEndpoints", "The house's endpoints with all partners"
)
list_house_deliveries: Final = of_all(
    house_deliveries.list_deliveries,
    "listAllHouseDeliveries",
    "What is undelivered to the house, of all partners",
    _UNDELIVERED,
)
list_house_replays: Final = of_all(
    house_replays.list_replays, "listAllHouseReplays", "The replays to the house, newest first"
)
