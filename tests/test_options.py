"""Options are declared once: the command line, config files, records and the API follow."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tif.errors import InputError, UsageError
from tif.options import Components, Keywords, Option, Options, Written, command, declared, needs, only_with, shortest


class Baking(Options):
    """What to bake."""

    cake: Annotated[str, Option("Which cake.", "What")]
    oven: Annotated[Literal["gas", "electric"], Option("Kind of oven.", "How")] = "gas"
    minutes: Annotated[int, Option("Time in the oven.", "How", least=1, most=600)] = 40
    sugar: Annotated[float | None, Option("Grams.", "What", above=0, otherwise="the cake's own")] = None
    volts: Annotated[int | None, Option("Of the oven.", "How", idle=only_with("oven", "electric"))] = None
    icing: Annotated[bool, Option("Put icing on it.", "What")] = False
    colour: Annotated[str | None, Option("Of the icing.", "What", idle=needs("icing"))] = None
    nuts: Annotated[tuple[str, ...], Option("Kinds of nuts.", "What", split=True)] = ()
    tin: Annotated[str, Option("Where it goes.", "How", outcome=False)] = "round"

    def check(self) -> None:
        """Nobody bakes with neither sugar nor nuts for ten hours."""
        if self.minutes == 600 and self.sugar is None:
            raise UsageError("needs sugar", where="--minutes")


@dataclass(frozen=True)
class Heat(Written):
    """Degrees, written as `180C`."""

    degrees: float

    @classmethod
    def of(cls, text):
        if not text.endswith("C"):
            raise UsageError(f"heat {text!r} cannot be read", hint="Write 180C.")
        return cls(float(text[:-1]))

    def __str__(self):
        return f"{shortest(self.degrees)}C"


class Roasting(Options):
    """Options with a text form of their own."""

    heat: Annotated[Heat | None, Option("How hot.")] = None
    rest: Annotated[Heat, Option("At the end.", idle=needs("heat"))] = Heat(40.0)
    steps: Annotated[tuple[Heat, ...], Option("One after the other.", names=("--step",))] = ()


class Cold(Options):
    """For the fridge."""

    degrees: Annotated[int, Option("How cold.")] = 4
    time: Annotated[float, Option("Hours in the fridge.", above=0)] = 2.0


class Hot(Options):
    """For the stove."""

    flame: Annotated[int, Option("How hot.")] = 3
    time: Annotated[float, Option("Minutes on the stove.", above=0)] = 20.0


class Serving(Options):
    """Common to both."""

    method: Annotated[str, Option("hot or cold.")] = "hot"
    plate: Annotated[str, Option("Which plate.")] = "white"
    napkin: Annotated[bool, Option("With a napkin.", idle=lambda _, part: "no napkin for ice" if part else None)] = (
        False
    )


class Frozen(Options):
    """Of another package."""

    scoops: Annotated[int, Option("How many.", least=1)] = 2
    flavours: Annotated[tuple[str, ...], Option("Which.", split=True)] = ()
    cone: Annotated[Literal["waffle", "sugar"] | None, Option("Which cone.", names=("--in",))] = None


def plugin(name):
    """Other packages' components: one with options, one without."""
    if name not in ("ice", "bare"):
        raise UsageError(f"no meal {name!r}", where="--method", hint="Known: hot, cold, bare, ice.")
    return {"ice": Frozen, "bare": Keywords}[name]


MEALS = Components(by="method", builtin={"hot": Hot, "cold": Cold}, plugin=plugin)


@pytest.fixture
def app():
    app = typer.Typer()

    @command(app, "bake")
    def bake(options: Baking, *, json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
        """Bake a cake."""
        print(json.dumps({"options": options.to_json(), "given": sorted(options.model_fields_set), "json": json_}))

    @command(app, "serve", parts=MEALS)
    def serve(options: Serving, method: Options) -> None:
        """Serve it."""
        print(json.dumps([options.to_json(), type(method).__name__, method.to_json()]))

    return app


@pytest.fixture
def run(app):
    def run(*arguments):
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        if isinstance(done.exception, UsageError | InputError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


def test_the_command_line_gives_options_and_their_defaults(run):
    done = run("bake", "--cake", "plum", "--nuts", "a,b", "--nuts", "c", "--json")
    assert done["options"] == {
        "cake": "plum", "oven": "gas", "minutes": 40, "sugar": None, "volts": None, "icing": False, "colour": None,
        "nuts": ["a", "b", "c"], "tin": "round",
    }  # fmt: skip
    assert done["given"] == ["cake", "nuts"]
    assert done["json"] is True


def test_help_names_every_option_with_its_choices_and_default(app):
    shown = CliRunner().invoke(app, ["bake", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for each in declared(Baking):
        assert each.flag in shown
    assert "gas" in shown
    assert "electric" in shown
    assert "the cake's own" in shown
    assert "--no-icing" in shown
    assert "--config" in shown


def test_the_command_line_wins_over_the_config_and_the_config_over_the_defaults(run, tmp_path):
    file = tmp_path / "cake.toml"
    file.write_text('cake = "plum"\nminutes = 50\nicing = true\n')
    assert run("bake", "--config", file)["options"]["minutes"] == 50
    done = run("bake", "--config", file, "--minutes", "60", "--no-icing")["options"]
    assert (done["cake"], done["minutes"], done["icing"]) == ("plum", 60, False)


def test_a_config_may_have_a_table_for_each_command(run, tmp_path):
    file = tmp_path / "kitchen.toml"
    file.write_text('[bake]\ncake = "plum"\n[serve]\nmethod = "cold"\n')
    assert run("bake", "--config", file)["options"]["cake"] == "plum"
    assert run("serve", "--config", file)[1] == "Cold"


def test_the_record_of_a_run_repeats_it(run, tmp_path):
    first = Baking(cake="plum", nuts=("a",), minutes=41)
    record = tmp_path / "run.json"
    record.write_text(json.dumps({"schema": 1, "config": first.to_json()}))
    done = run("bake", "--config", record, "--tin", "square")
    assert done["options"] == {**first.to_json(), "tin": "square"}
    # Options at their default were not given by anybody, so none of them is refused as idle.
    assert done["given"] == ["cake", "minutes", "nuts", "tin"]


def test_unknown_keys_are_refused_with_the_nearest_name(run, tmp_path):
    file = tmp_path / "cake.json"
    file.write_text('{"cake": "plum", "minuts": 3}')
    with pytest.raises(UsageError, match=r"cake\.json: no option 'minuts'\. Did you mean 'minutes'\?"):
        run("bake", "--config", file)


def test_a_value_of_the_config_is_refused_with_the_file_and_one_of_the_command_line_without(run, tmp_path):
    file = tmp_path / "cake.json"
    file.write_text('{"cake": "plum", "minutes": 0}')
    with pytest.raises(UsageError, match=r"cake\.json, --minutes: 0 is below 1"):
        run("bake", "--config", file)
    file.write_text('{"cake": "plum"}')
    with pytest.raises(UsageError, match=r"^--minutes: 601 is above 600"):
        run("bake", "--config", file, "--minutes", "601")


@pytest.mark.parametrize(
    ("text", "name"), [("{", "x.json"), ("[1]", "x.json"), ("a = ", "x.toml"), (None, "none.json")]
)
def test_a_config_that_cannot_be_read_is_one_line(run, tmp_path, text, name):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name):
        run("bake", "--config", tmp_path / name)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({}, "--cake: must be given. Which cake."),
        ({"cake": "x", "oven": "wood"}, "--oven: is 'wood'. Known: gas, electric."),
        ({"cake": "x", "minutes": 0}, "--minutes: 0 is below 1"),
        ({"cake": "x", "sugar": 0.0}, "--sugar: 0.0 is not above 0"),
        ({"cake": "x", "sugar": float("nan")}, "--sugar: nan is not a finite number"),
        ({"cake": "x", "minutes": 600}, "--minutes: needs sugar"),
        ({"cake": "x", "volts": 230}, "--volts does nothing here (it is for --oven electric)"),
        ({"cake": "x", "colour": "red"}, "--colour does nothing here (it needs --icing)"),
        ({"cake": "x", "sugr": 3}, "no option 'sugr'. Did you mean 'sugar'?"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, line):
    with pytest.raises(UsageError) as raised:
        Baking(**arguments)
    assert str(raised.value) == line
    assert raised.value.exit_code == 2


def test_an_option_that_has_an_effect_is_taken():
    assert Baking(cake="x", oven="electric", volts=230).volts == 230
    assert Baking(cake="x", icing=True, colour="red").colour == "red"


def test_a_component_has_its_own_options_and_refuses_those_of_another(run):
    white = {"method": "hot", "plate": "white", "napkin": False}
    assert run("serve", "--flame", "5") == [white, "Hot", {"flame": 5, "time": 20.0}]
    assert run("serve", "--method", "cold", "--plate", "blue")[1:] == ["Cold", {"degrees": 4, "time": 2.0}]
    with pytest.raises(UsageError, match=r"--method cold has no option --flame\. It goes with --method hot\."):
        run("serve", "--method", "cold", "--flame", "5")
    with pytest.raises(UsageError, match=r"no meal 'raw'. Known: hot, cold, bare, ice"):
        run("serve", "--method", "raw")


def test_without_plugins_an_unknown_component_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"--method: no method 'ice'\. Known: hot, cold\."):
        Components(by="method", builtin={"hot": Hot, "cold": Cold}).options("ice")


def test_a_component_takes_its_options_from_the_config_too(run, tmp_path):
    file = tmp_path / "meal.toml"
    file.write_text('method = "cold"\ndegrees = 7\n')
    assert run("serve", "--config", file, "--plate", "red") == [
        {"method": "cold", "plate": "red", "napkin": False},
        "Cold",
        {"degrees": 7, "time": 2.0},
    ]
    file.write_text('method = "cold"\ndegrees = "warm"\n')
    with pytest.raises(UsageError, match=r"meal\.toml, --degrees: is 'warm'"):
        run("serve", "--config", file)
    file.write_text('method = "cold"\nflame = 4\n')
    with pytest.raises(UsageError, match=r"meal\.toml: --method cold has no option --flame"):
        run("serve", "--config", file)
    file.write_text('method = "cold"\n')
    with pytest.raises(UsageError, match=r"^--method cold has no option --flame"):
        run("serve", "--config", file, "--flame", "4")


def test_help_says_which_component_reads_an_option_how(app):
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "hot: Minutes on the stove (default: 20.0). cold: Hours in the fridge (default: 2.0)." in shown
    panels = [line for line in shown.splitlines() if "Options of" in line]
    assert [panel.strip("─╭╮ ") for panel in panels] == [
        "Options of --method hot",
        "Options of several methods",
        "Options of --method cold",
    ]
    assert "--set" in shown


class Broken(Options):
    """Of a package whose options clash: `flame` has another type, `dish` has the flag of a common option."""

    flame: Annotated[str, Option("In words.")] = "low"
    dish: Annotated[str, Option("Which.", names=("--plate",))] = "deep"
    salt: Annotated[bool, Option("Salted.")] = False


@pytest.fixture
def run_with_plugins():
    """As `run`, with three packages' components installed, of which one cannot be imported."""
    loaded = []

    def load(name):
        loaded.append(name)
        if name == "gone":
            raise RuntimeError("no such oven")
        return {"ice": Frozen, "odd": Broken}[name]

    app = typer.Typer()
    names = lambda: ["hot", "cold", "gone", "ice", "odd"]  # noqa: E731

    @command(app, "serve", parts=Components(by="method", builtin=MEALS.builtin, plugin=load, names=names))
    def serve(options: Serving, method: Options) -> None:
        """Serve it."""
        print(json.dumps([options.plate, method.to_json()]))

    def run(*arguments):
        loaded.clear()
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "TERM": "dumb"})
        if isinstance(done.exception, UsageError):
            raise done.exception
        return done

    run.loaded = loaded
    return run


def test_the_options_of_a_plugin_are_given_and_shown_as_those_of_any_other_component(run_with_plugins):
    run = run_with_plugins
    done = run("--method", "ice", "--scoops", "3", "--flavours", "nut,plum", "--in", "sugar", "--plate", "blue")
    assert json.loads(done.stdout) == ["blue", {"scoops": 3, "flavours": ["nut", "plum"], "cone": "sugar"}]
    assert run("--method=ice", "--scoops=3").stdout == run("--method", "ice", "--set", "scoops=3").stdout
    assert set(run.loaded) == {"ice"}
    with pytest.raises(UsageError, match="--scoops: 0 is below 1"):
        run("--method", "ice", "--scoops", "0")
    refused = run("--method", "hot", "--scoops", "3")
    assert refused.exit_code == 2
    assert re.search("No such option:? '?--scoops", refused.output)
    assert run.loaded == []

    shown = run("--help")
    assert shown.exit_code == 0
    for name in ("ice", "odd"):
        assert f"Options of --method {name}" in shown.output
    assert "How many." in shown.output
    assert "the options of --method gone are not shown: no such oven" in shown.output


def test_an_option_of_a_plugin_that_clashes_with_another_one_is_given_by_set(run_with_plugins):
    shown = run_with_plugins("--help").output
    assert "In words." not in shown
    assert shown.count("--plate") == 1
    done = run_with_plugins("--method", "odd", "--salt", "--set", "flame=high", "--set", "dish=flat")
    assert json.loads(done.stdout) == ["white", {"flame": "high", "dish": "flat", "salt": True}]


def test_components_that_take_one_option_for_two_types_are_a_mistake_of_the_classes():
    class Warm(Options):
        flame: Annotated[str, Option("How warm.")] = "low"

    with pytest.raises(TypeError, match="flame"):
        list(Components(by="method", builtin={"hot": Hot, "warm": Warm}).merged())


def test_a_plugins_options_are_set_by_name_and_checked_by_its_class(run, tmp_path):
    assert run("serve", "--method", "ice", "--set", "scoops=3", "--set", "flavours=fig, plum")[1:] == [
        "Frozen",
        {"scoops": 3, "flavours": ["fig", "plum"], "cone": None},
    ]
    file = tmp_path / "ice.toml"
    file.write_text('method = "ice"\nscoops = 4\nin = "sugar"\nplate = "cup"\n')
    assert run("serve", "--config", file, "--set", "scoops=5") == [
        {"method": "ice", "plate": "cup", "napkin": False},
        "Frozen",
        {"scoops": 5, "flavours": [], "cone": "sugar"},
    ]
    for wrong, line in [
        (["--set", "scoop=3"], "no option 'scoop'. Did you mean 'scoops'?"),
        (["--set", "scoops=0"], "--scoops: 0 is below 1"),
        (["--set", "cone=paper"], "--in: is 'paper'. Known: waffle, sugar."),
        (["--set", "scoops"], "--set: 'scoops' is not NAME=VALUE"),
        (["--set", "plate=red"], "--set: is for options of one method alone. Use --plate."),
        (["--flame", "3"], "--method ice has no option --flame. It goes with --method hot."),
    ]:
        with pytest.raises(UsageError) as raised:
            run("serve", "--method", "ice", *wrong)
        assert str(raised.value) == line


def test_a_plugin_that_declares_no_options_takes_any(run):
    assert run("serve", "--method", "bare", "--set", "size=3", "--set", "note=a b", "--flame", "2")[1:] == [
        "Keywords",
        {"flame": 2, "size": 3, "note": "a b"},
    ]


def test_an_option_may_have_no_effect_beside_a_component():
    options = Serving(napkin=True)
    with pytest.raises(UsageError, match=r"--napkin does nothing here \(no napkin for ice\)"):
        options.refuse_idle(Frozen())


def test_options_are_frozen_and_change_by_a_checked_copy():
    options = Baking(cake="x")
    with pytest.raises(Exception, match="frozen"):
        options.minutes = 3
    assert options.but(minutes=3).minutes == 3
    assert options.but(minutes=3).model_fields_set == {"cake", "minutes"}
    with pytest.raises(UsageError):
        options.but(minutes=0)


def test_what_does_not_change_the_result_is_left_out_of_the_outcome():
    assert Baking(cake="x", tin="a").outcome() == Baking(cake="x", tin="b").outcome()
    assert Baking(cake="x").outcome() != Baking(cake="y").outcome()


@given(
    st.builds(
        dict,
        cake=st.text(min_size=1),
        oven=st.sampled_from(["gas", "electric"]),
        minutes=st.integers(1, 599),
        sugar=st.none() | st.floats(0.1, 1e6),
        nuts=st.lists(st.text()).map(tuple),
    )
)
def test_json_and_back_is_the_same(values):
    options = Baking(**values)
    assert Baking(**json.loads(json.dumps(options.to_json()))).to_json() == options.to_json()


def test_a_field_without_a_declaration_is_a_mistake_of_the_class():
    class Bad(Options):
        x: int = 1

    with pytest.raises(TypeError, match="x"):
        declared(Bad)


def test_a_value_with_a_text_form_is_read_where_it_enters(app, run, tmp_path):
    @command(app, "roast")
    def roast(options: Roasting) -> None:
        """Roast it."""
        degrees = options.heat and options.heat.degrees
        print(json.dumps({"degrees": degrees} | options.to_json()))

    done = run("roast", "--heat", "180C", "--step", "90C", "--step", "120.5C")
    assert done == {"degrees": 180.0, "steps": ["90C", "120.5C"], "heat": "180C", "rest": "40C"}
    assert Roasting(heat=Heat(180.0), steps=["90C"]) == Roasting(heat="180C", steps=(Heat(90.0),))
    file = tmp_path / "roast.json"
    file.write_text(json.dumps(Roasting(heat="180C", steps=["90C"]).to_json()))
    assert run("roast", "--config", file)["steps"] == ["90C"]
    # Nobody gave an option that a record lists at its default, so it is not refused as idle.
    file.write_text(json.dumps(Roasting().to_json()))
    assert run("roast", "--config", file)["rest"] == "40C"
    with pytest.raises(UsageError, match=r"^--heat: heat '180' cannot be read\. Write 180C\."):
        run("roast", "--heat", "180")
    file.write_text('{"steps": ["1"]}')
    with pytest.raises(UsageError, match=r"roast\.json, --step: heat '1' cannot be read"):
        run("roast", "--config", file)
    with pytest.raises(UsageError, match="--heat: is True"):
        Roasting(heat=True)


@pytest.mark.parametrize(("number", "text"), [(8.0, "8"), (-8.5, "-8.5"), (0.05, "0.05"), (1e-9, "1e-09"), (7, "7")])
def test_numbers_are_written_so_that_they_come_back(number, text):
    assert shortest(number) == text
    assert float(text) == number
