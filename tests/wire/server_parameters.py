"""The request parameters that no wire carries: this server carries them out, and these tests saw it."""

from dataclasses import dataclass

INTEGRATION = "tests/integration/test_server_parameters.py"
RESPONSES = "tests/integration/test_openai_responses.py"


@dataclass(frozen=True, slots=True)
class Served:
    """`test` is a file and a test in it, `path::name`."""

    param: str
    effect: str
    test: str


SERVED: tuple[Served, ...] = (
    Served(
        "model",
        "names the provider and the upstream's own model, which is what the upstream reads",
        f"{INTEGRATION}::test_model_is_the_upstreams_own_name_there",
    ),
    Served(
        "previous_response_id",
        "the items of the chain go before the input, in the order they were said",
        f"{RESPONSES}::test_a_chain_carries_its_history_and_branches",
    ),
    Served(
        "prompt",
        "the stored template is filled here: its text goes before the instructions, images and files before the turns",
        "tests/integration/test_prompts.py::test_the_filled_prompt_stands_before_the_instructions",
    ),
    Served(
        "agent",
        "what the stored agent says goes where the request says nothing: model, instructions, tools, sampling, format",
        "tests/integration/test_agent_bridge.py::test_an_agent_is_asked_with_all_that_it_says",
    ),
    Served(
        "input: item_reference",
        "the item it names is read here and goes into its place",
        "tests/unit/test_responses_service.py::test_an_item_reference_finds_an_item_of_another_response",
    ),
    Served(
        "include: reasoning.encrypted_content",
        "reasoning is sealed here, whatever the upstream, and opened when it comes back",
        "tests/integration/test_encrypted_reasoning.py::test_a_stored_response_shows_it_only_where_it_is_included",
    ),
    Served(
        "store",
        "`false`: nothing of the request or the answer is kept",
        f"{RESPONSES}::test_a_response_that_is_not_stored_cannot_be_read_or_continued",
    ),
    Served(
        "conversation",
        "its items come before the input, and input and output are put behind them; no upstream hears of it",
        "tests/properties/test_four_ways.py::test_each_way_gives_the_model_the_identical_transcript",
    ),
    Served(
        "context_management",
        "a context that is too full is compacted here, or by the upstream where it has `/responses/compact`",
        "tests/unit/test_compaction.py::test_a_full_context_is_compacted_before_the_model_is_asked",
    ),
    Served(
        "stream",
        "events as they happen instead of one body; the upstream is asked to stream too",
        f"{INTEGRATION}::test_stream_is_asked_of_the_upstream_as_of_us",
    ),
    Served(
        "stream_options",
        "`include_obfuscation: false` leaves the padding of events out",
        "tests/integration/test_raw_streams.py::test_obfuscation_is_left_out_when_declined",
    ),
    Served(
        "metadata",
        "kept with the response and given back, now and when it is read; never sent to a model",
        f"{INTEGRATION}::test_metadata_is_kept_and_stays_here",
    ),
    Served(
        "truncation",
        "`auto`: when the upstream says that its context is full, older turns are left out and it is asked again",
        f"{INTEGRATION}::test_truncation_auto_leaves_older_turns_out",
    ),
    Served(
        "max_tool_calls",
        "further calls of server-side tools are answered to the model instead of run",
        "tests/properties/test_loop.py::test_every_property_holds_for_every_script",
    ),
    Served(
        "max_infer_iters",
        "so many model calls; the last one is told to call no tool",
        f"{INTEGRATION}::test_max_infer_iters_bounds_the_model_calls",
    ),
    Served(
        "client_metadata",
        "a client's word to itself: accepted, neither kept nor sent on",
        f"{INTEGRATION}::test_client_metadata_goes_nowhere",
    ),
)
