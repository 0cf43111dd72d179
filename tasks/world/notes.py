"""Field notes: prose with many independent slots, so that two notes share few phrases."""

from tasks.world.grammar import Form, Part

SENTENCES = (
    Part(
        (
            "{day} was {weather} and {name} walked from the {place} to the {far_place}.",
            "On {day} the {weather} path to the {place} was {state}, says the {paper} of {name}.",
            "{name} began a {paper} by the {place} on a {weather} {day}.",
        )
    ),
    Part(
        (
            " To the {side} lay {number} {look} {find} and {more_number} {more_find}.",
            " With a {tool} we found {number} {find} that were {more_state}.",
            " {first_name} counted {number} {find} and {more_number} {more_look} {more_find}.",
        )
    ),
    Part(
        (
            " The {second_place} in the {more_side} was {second_state}, with {second_number} {second_find}.",
            " {second_name} left a {second_look} {second_tool} and {second_number} {second_find} in the {spot}.",
            " Of {second_number} {second_find}, {third_number} were {second_look} and {second_state}.",
        )
    ),
    Part(
        (
            " At {time} {third_name} took the {third_tool} to the {third_place} for {third_find}.",
            " A {third_look} {third_tool} and the {third_state} {spare_paper} went to {third_name}.",
            " The {third_find} of {third_name} were {third_state} and the {third_tool} was {third_look}.",
        )
    ),
    Part(
        (
            " Next {last_day} we bring {last_number} {last_find} and a {last_tool} to the {last_place}.",
            " By {last_time} the {last_weather} wind from the {last_side} reached {last_name}.",
            " {last_name} has to be at the {last_place} by {last_day} with the {last_tool}.",
        )
    ),
)
NOTE = Form(SENTENCES)
