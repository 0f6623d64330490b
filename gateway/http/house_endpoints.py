"""Endpoints of the house in the exchange with a partner: they get what the partner sends.

They are made and changed as a partner's are, by teams and operators; the partner sees nothing of them.
"""

from typing import Final

from gateway.http import endpoint_probes, endpoint_secrets, endpoints
from gateway.http.of_house import of_house

list_endpoints: Final = of_house(
    endpoints.list_endpoints, "listHouseEndpoints", "The house's endpoints with a partner"
)
show_endpoint: Final = of_house(
    endpoints.show_endpoint, "showHouseEndpoint", "One endpoint of the house, and how it is doing"
)
create_endpoint: Final = of_house(
    endpoints.create_endpoint, "createHouseEndpoint", "Have what a partner sends posted to a URL of ours"
)
change_endpoint: Final = of_house(
    endpoints.change_endpoint, "changeHouseEndpoint", "Change an endpoint of the house"
)
remove_endpoint: Final = of_house(
    endpoints.remove_endpoint, "removeHouseEndpoint", "Remove an endpoint of the house"
)
pause_endpoint: Final = of_house(
    endpoints.pause_endpoint, "pauseHouseEndpoint", "Pause an endpoint of the house"
)
resume_endpoint: Final = of_house(
    endpoints.resume_endpoint, "resumeHouseEndpoint", "Resume an endpoint of the house"
)
try_endpoint: Final = of_house(
    endpoint_probes.try_endpoint, "testHouseEndpoint", "Send an endpoint of the house a sample"
)
list_secrets: Final = of_house(
    endpoint_secrets.list_secrets,
    "listHouseEndpointSecrets",
    "The signing secrets of an endpoint of the house",
)
create_secret: Final = of_house(
    endpoint_secrets.create_secret,
    "createHouseEndpointSecret",
    "Give an endpoint of the house another secret",
)
remove_secret: Final = of_house(
    endpoint_secrets.remove_secret,
    "removeHouseEndpointSecret",
    "Let a secret of a house endpoint sign nothing more",
)
