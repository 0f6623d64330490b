"""Deliveries to the house's endpoints, told in the house's log: their partner sees nothing of them."""

from typing import Final

from gateway.http import deliveries
from gateway.http.of_house import of_house

list_deliveries: Final = of_house(
    deliveries.list_deliveries,
    "listHouseDeliveries",
    "Deliveries to the house, and why they are not delivered",
)
show_delivery: Final = of_house(
    deliveries.show_delivery, "showHouseDelivery", "One delivery to the house, with its attempts"
)
retry_delivery: Final = of_house(
    deliveries.retry_delivery, "retryHouseDelivery", "Try a delivery to the house now"
)
cancel_delivery: Final = of_house(
    deliveries.cancel_delivery, "cancelHouseDelivery", "Give a delivery to the house up"
)
