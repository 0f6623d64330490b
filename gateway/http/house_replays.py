"""Replays of what a partner sends, to the house's endpoints; told in the house's log."""

from typing import Final

from gateway.http import replays
from gateway.http.of_house import of_house

create_replay: Final = of_house(
    replays.create_replay, "createHouseReplay", "Replay to the house what the partner sent"
)
list_replays: Final = of_house(
    replays.list_replays, "listHouseReplays", "The replays to the house, newest first"
)
show_replay: Final = of_house(replays.show_replay, "showHouseReplay", "One replay to the house")
cancel_replay: Final = of_house(replays.cancel_replay, "cancelHouseReplay", "Cancel a replay to the house")
