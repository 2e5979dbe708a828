"""What Partner Center does with what it is asked, and what happens there by itself."""

from collections.abc import Mapping

from simulator.behaviour import migrations, purchases, story, subscriptions, transitions
from simulator.world import Happening

HAPPENINGS: Mapping[str, Happening] = {
    "subscription": subscriptions.on_moment,
    "migration": migrations.on_moment,
    "schedule": migrations.on_schedule,
    "order": purchases.on_moment,
    "story": story.on_moment,
    "transition": transitions.on_moment,
}
