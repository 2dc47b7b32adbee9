"""The options of `tif eval`, each declared once (see `tif.options`)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from tif.errors import UsageError
from tif.eval.settings import FORMS, Corpus, Form, RelearnOn, Schedule
from tif.options import Option, Options, needs, only_with
from tif.tokens.templates import FIXED_DATE, TEMPLATE_HELP, ChatDate, TemplateSpec

_DATA, _HOW, _MORE, _RETAIN = "Model and data", "How to measure", "More measurements", "Make a retain model"
_RELEARN: Final = "Relearning"

Benchmark = Literal["tofu", "muse", "lume", "local", "set"]
"""TOFU, MUSE, LUME, files of questions and answers, or the annotation set itself."""
Attack = Literal["relearn", "nf4"]


def _scoring(options: EvaluateOptions, context: Any) -> str | None:
    """Refuse an option for questions and answers with `--import-log` and with MUSE, which ignore it."""
    muse = "MUSE has its own texts, prompts and lengths" if options.benchmark == "muse" else None
    return _model(options, context) or muse


def _depth(options: EvaluateOptions, context: Any) -> str | None:
    """Refuse `--depth` if no model is evaluated."""
    return _scoring(options, context) or ("it needs a model to evaluate" if options.model is None else None)


def _model(options: EvaluateOptions, _context: Any) -> str | None:
    return _LOG_ALONE if options.import_log is not None else None


def _making(options: EvaluateOptions, _context: Any) -> str | None:
    return None if options.make_retain_log else "it is for --make-retain-log"


def _beside(options: EvaluateOptions, _context: Any) -> str | None:
    """Refuse another model if nothing compares with it."""
    if options.depth or ((options.attack is not None or options.full) and options.benchmark != "muse"):
        return None
    return "it needs --depth or --attack" if options.benchmark != "muse" else "it is not for MUSE"


def _relearning(options: EvaluateOptions, _context: Any) -> str | None:
    """Refuse an option for relearning if there is none. `--full` relearns unless another attack is given."""
    return None if options.attack == "relearn" or (options.full and options.attack is None) else _RELEARN_ALONE


def _leaking(options: EvaluateOptions, _context: Any) -> str | None:
    return None if options.leak or options.full else "it needs --leak"


def _share(options: EvaluateOptions, context: Any) -> str | None:
    """Refuse a share of the forget rows if relearning uses none of them."""
    own = "relearning uses retain samples only" if options.relearn_on == "retain" else None
    return _relearning(options, context) or own


def _base_model(options: EvaluateOptions, _context: Any) -> str | None:
    return None if options.make_retain_log else _inference(options, _context, "it is for --make-retain-log, and ")


def _inference(options: EvaluateOptions, _context: Any, begin: str = "it is ") -> str | None:
    """Refuse an option for membership inference where there is none."""
    tofu = options.benchmark is None and "forget" in options.model_fields_set
    if tofu or options.holdout is not None or options.benchmark in ("tofu", "muse", "lume"):
        return _model(options, _context)
    return f"{begin}for membership inference, which needs --holdout"


def _retain(options: EvaluateOptions, context: Any) -> str | None:
    if options.benchmark in ("tofu", "lume") and not options.make_retain_log and options.import_log is None:
        return f"--benchmark {options.benchmark} has its own retain samples; --benchmark local takes a file"
    return _scoring(options, context)


def _fields(options: EvaluateOptions, context: Any) -> str | None:
    reads_retain = options.retain is not None and (options.make_retain_log or options.benchmark in (None, "set"))
    if options.benchmark != "local" and not reads_retain:
        return "it is for the files of --benchmark local, and for --retain"
    return _scoring(options, context)


def _forget(options: EvaluateOptions, context: Any) -> str | None:
    """Refuse `--forget` with an annotation set, which is the forget set."""
    own = "--masks names the forget set" if options.benchmark == "set" else None
    own = "LUME has one forget set" if options.benchmark == "lume" else own
    return _scoring(options, context) or own


def _truth_ratio(options: EvaluateOptions, context: Any) -> str | None:
    """Refuse `--truth-ratio` with data that has no wrong answers."""
    own = "an annotation set has no wrong answers" if options.benchmark == "set" else None
    own = "LUME has no wrong answers" if options.benchmark == "lume" else own
    return _scoring(options, context) or own


def _question_key(options: EvaluateOptions, context: Any) -> str | None:
    """Refuse `--question-key` where no question has other words."""
    if options.benchmark in ("set", "lume"):
        return "an annotation set and LUME have no paraphrased questions"
    return _scoring(options, context)


_LOG_ALONE: Final = "--import-log only reads numbers from a log"
_RELEARN_ALONE: Final = "it is for --attack relearn"


class EvaluateOptions(Options):
    """Options of an evaluation.

    `tif eval` evaluates `model`. With `import_log`, it only reads the numbers of another project's log. With
    `make_retain_log`, it first trains a retain model and uses its evaluation as the retain log.

    Raises:
        UsageError: for options that contradict each other.
    """

    model: Annotated[
        str | None,
        Option("Run folder, model folder or hub id.", _DATA, positional=True, metavar="RUN_OR_MODEL", idle=_model),
    ] = None
    benchmark: Annotated[
        Benchmark | None,
        Option("tofu, muse, lume, local (your own questions and answers), or set (an annotation set, also of plain "
               "text).", _DATA, otherwise="tofu with --forget, else set", idle=_model),
    ] = None  # fmt: skip
    forget: Annotated[str, Option("TOFU split. With local: the file of the forget set.", _DATA, idle=_forget)] = (
        "forget10"
    )
    retain: Annotated[
        str | None,
        Option("With local and set: the retain samples.", _DATA, otherwise="with set: the run's own", idle=_retain),
    ] = None
    prompt_field: Annotated[
        str | None,
        Option('Field of your files that holds the question; several as A,B, joined with line breaks; with set, "" for '
               "plain text.", _DATA, otherwise="the usual names", idle=_fields),
    ] = None  # fmt: skip
    text_field: Annotated[
        str | None,
        Option("Field of your files that holds the answer or text.", _DATA, otherwise="the usual names", idle=_fields),
    ] = None
    encoding: Annotated[
        str | None,
        Option("Encoding of your text files, such as cp1252 for Windows.", _DATA, metavar="NAME", otherwise="UTF-8",
               idle=_fields),
    ] = None  # fmt: skip
    masks: Annotated[
        str | None,
        Option("Annotation set, FILE or FILE@N.", _DATA, otherwise="the run's own", metavar="SET[@N]", idle=_scoring),
    ] = None
    labels: Annotated[
        tuple[str, ...] | None,
        Option(
            "Span labels that count as unwanted words.", _DATA, split=True,
            otherwise="the run's, else every label of the set", idle=_scoring,
        ),
    ] = None  # fmt: skip
    data_dir: Annotated[
        str | None,
        Option("Folder with TOFU's, MUSE's or LUME's files.", _DATA, idle=_model, outcome=False,
               otherwise="TIF_DATA_DIR, else the hub, which has no LUME"),
    ] = None  # fmt: skip
    retain_log: Annotated[str | None, Option("Evaluation log of the retain model. Forget quality needs it.", _DATA)] = (
        None
    )
    base_log: Annotated[
        str | None,
        Option("Evaluation log of the base model, to compare leakage with.", _DATA, idle=_leaking),
    ] = None
    limit: Annotated[int | None, Option("Use only the first N samples of each part.", _DATA, least=1, idle=_model)] = (
        None
    )
    out: Annotated[
        str | None,
        Option("Output folder.", _DATA, otherwise="RUN/eval or runs/eval/NAME-DIGEST", idle=_model, outcome=False),
    ] = None

    template: Annotated[
        TemplateSpec | None, Option(TEMPLATE_HELP, _HOW, otherwise="the run's, else auto", idle=_scoring)
    ] = None
    system_prompt: Annotated[
        str | None,
        Option("System message that each chat begins with.", _HOW, otherwise="the run's, else the chat template's own",
               idle=_scoring),
    ] = None  # fmt: skip
    date: Annotated[
        ChatDate | None,
        Option("Date for a chat template that writes today's.", _HOW, metavar="YYYY-MM-DD",
               otherwise=f"the run's, else {FIXED_DATE}", idle=_scoring),
    ] = None  # fmt: skip
    punctuation: Annotated[
        Literal["gw", "uw"] | None,
        Option("Count punctuation outside spans as general words (gw) or unwanted words (uw).", _HOW,
               otherwise="the run's, else gw", idle=_scoring),
    ] = None  # fmt: skip
    supervise_eos: Annotated[bool, Option("Score the end token, as TOFU does.", _HOW, idle=_scoring)] = True
    truth_ratio: Annotated[
        Literal["loss", "probability"],
        Option("Average wrong answers by loss (TOFU's code) or by probability (TOFU's paper).", _HOW,
               idle=_truth_ratio),
    ] = "loss"  # fmt: skip
    max_new_tokens: Annotated[
        int | None,
        Option("Longest completion, in tokens.", _HOW, least=1, otherwise="200, with lume 256", idle=_scoring),
    ] = None
    completions: Annotated[
        bool,
        Option("Write completions. Without them tif is much faster, but gives no ROUGE, model utility or verdict.",
               _HOW, idle=_scoring),
    ] = True  # fmt: skip
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        Option("Number format of the weights.", _HOW, otherwise="as stored", idle=_model),
    ] = None
    device: Annotated[
        str | None,
        Option("cpu, cuda or mps.", _HOW, otherwise="the best available", idle=_model, outcome=False),
    ] = None
    force: Annotated[bool, Option("Compare logs of different questions anyway.", _HOW)] = False

    full: Annotated[
        bool,
        Option("Measure everything that the data and the models at hand allow: leakage in 16 samples, depth, "
               "membership inference, and both attacks.", _MORE, idle=_model),
    ] = False  # fmt: skip
    leak: Annotated[
        int | None,
        Option(
            "Draw N random answers to each question, and count those that contain unwanted words.", _MORE,
            metavar="N", least=1, idle=_scoring,
        ),
    ] = None  # fmt: skip
    leak_forms: Annotated[
        tuple[Form, ...],
        Option("Forms of asking for unwanted words.", _MORE, split=True, metavar="FORM", idle=_leaking),
    ] = FORMS
    attack: Annotated[
        Attack | None,
        Option("Evaluate after relearn (a short relearning) or nf4 (4-bit quantization).", _MORE, idle=_model),
    ] = None
    base_model: Annotated[
        str | None,
        Option(
            "Model that never saw the forget set. --make-retain-log fine-tunes it; membership inference compares with "
            "it.", _MORE, idle=_base_model,
        ),
    ] = None  # fmt: skip
    corpus: Annotated[
        Corpus | None,
        Option(
            "With muse: the corpus. Without --retain-log, PrivLeak compares with MUSE's own retain model of it.", _MORE,
            otherwise="from the name of the folder, such as muse_news", idle=only_with("benchmark", "muse"),
        ),
    ] = None  # fmt: skip
    gradnorm: Annotated[
        bool,
        Option("Also use gradient norms for membership inference: one backward pass per text.", _MORE, idle=_inference),
    ] = False
    holdout: Annotated[
        str | None,
        Option("Samples that no model was trained on, for membership inference.", _MORE,
               otherwise="with tofu: holdoutNN.json in the data folder, if it is there", idle=_scoring),
    ] = None  # fmt: skip
    question_key: Annotated[
        Literal["question", "paraphrased_question"],
        Option("Field that asks the forget and retain questions.", _HOW, idle=_question_key),
    ] = "question"
    fluency_classifier: Annotated[
        str | None,
        Option("Text classifier that measures the fluency of the forget answers, for utility and overall.", _MORE,
               metavar="MODEL", idle=_scoring),
    ] = None  # fmt: skip
    starting_log: Annotated[
        str | None,
        Option("Evaluation log of the starting model. Relative utility and overall need it.", _MORE,
               idle=needs("fluency_classifier")),
    ] = None  # fmt: skip
    depth: Annotated[
        bool,
        Option(
            "Measure whether hidden layers still hold the unwanted words, by activation patching (UDS) and logit lens.",
            _MORE, idle=_depth,
        ),
    ] = False  # fmt: skip
    retain_model: Annotated[
        str | None,
        Option("Model trained without the forget set, for --depth and --attack.", _MORE, otherwise="the retain log's",
               idle=_beside),
    ] = None  # fmt: skip
    starting_model: Annotated[
        str | None,
        Option("Model before unlearning, for --depth and --attack.", _MORE, otherwise="the run's", idle=_beside),
    ] = None
    lm_eval: Annotated[
        tuple[str, ...],
        Option("Tasks of lm-evaluation-harness.", _MORE, split=True, metavar="TASK", idle=_model),
    ] = ()
    lm_eval_tasks: Annotated[
        str | None, Option("Folder of your own tasks for it, as YAML files.", _MORE, metavar="FOLDER",
                           idle=needs("lm_eval"))
    ] = None  # fmt: skip
    import_log: Annotated[
        str | None, Option("Read another project's evaluation log instead of a model.", _MORE, metavar="FILE")
    ] = None

    relearn_on: Annotated[
        RelearnOn,
        Option("Relearn on the forget set (forget), on its general words only, with unwanted words read but not "
               "trained on (general), or on as many retain samples (retain).", _RELEARN, idle=_relearning),
    ] = "forget"  # fmt: skip
    relearn_share: Annotated[
        float,
        Option("Share of the forget rows to relearn on, drawn at random. Below 1, only the other rows are evaluated.",
               _RELEARN, above=0, most=1, idle=_share),
    ] = 1.0  # fmt: skip
    relearn_schedule: Annotated[
        Schedule,
        Option("Keep the learning rate constant, or let it fall linearly to 0, as OpenUnlearning does.", _RELEARN,
               idle=_relearning),
    ] = "constant"  # fmt: skip
    relearn_epochs: Annotated[int, Option("Epochs.", _RELEARN, least=1, idle=_relearning)] = 1
    relearn_lr: Annotated[float, Option("Highest learning rate.", _RELEARN, above=0, idle=_relearning)] = 2e-5
    relearn_batch_size: Annotated[int, Option("Samples in one step.", _RELEARN, least=1, idle=_relearning)] = 32

    make_retain_log: Annotated[
        bool,
        Option("Fine-tune --base-model on the retain samples, and use its evaluation as the retain log.", _RETAIN,
               idle=_model),
    ] = False  # fmt: skip
    retain_epochs: Annotated[
        int, Option("Epochs. Use as many as for the starting model.", _RETAIN, least=1, idle=_making)
    ] = 5
    retain_lr: Annotated[
        float, Option("Learning rate. Use that of the starting model.", _RETAIN, above=0, idle=_making)
    ] = 1e-5

    def check(self) -> None:
        """Refuse contradictions."""
        if self.import_log is not None:
            if self.model is not None:
                raise UsageError("--import-log takes no model", hint="Remove the model. tif only reads the log.")
            return
        if self.model is None and not self.make_retain_log:
            raise UsageError("no model given", hint="Use tif eval RUN_OR_MODEL, or --import-log FILE.")
        if self.make_retain_log and self.base_model is None:
            raise UsageError(
                "--make-retain-log needs --base-model, the model that the starting model was fine-tuned from",
                hint="If you have a retain model, run `tif eval RETAIN_MODEL --out DIR` and give --retain-log "
                "DIR/eval.json. Without either, tif computes all numbers but forget quality.",
            )
        if self.make_retain_log and self.retain_log is not None:
            raise UsageError("--make-retain-log and --retain-log exclude each other", hint="Give only one of them.")
        if self.question_key != "question" and (self.attack == "relearn" or self.holdout is not None):
            other = "--attack relearn trains on" if self.attack == "relearn" else "--holdout compares with"
            raise UsageError(
                f"{other} the questions as written", hint="Remove --question-key, or measure it without this option."
            )
        if self.attack == "relearn" and self.benchmark == "muse":
            raise UsageError("--attack relearn does not work with MUSE", hint="Use --benchmark tofu or local.")
        if self.relearn_on == "retain" and self.benchmark == "local" and self.retain is None:
            raise UsageError("--relearn-on retain needs retain samples", hint="Give them as --retain FILE.")

    def plain(
        self, model: str, *, out: str | None, retain_log: str | None, inference: bool, beside: bool = True
    ) -> EvaluateOptions:
        """Return the options for the evaluation of one model, without those for making a retain model.

        Args:
            model: the model.
            out: the folder of its evaluation.
            retain_log: its retain log.
            inference: whether to keep the base model, which membership inference compares with.
            beside: whether to keep attacks and depth, which compare the model with others.
        """
        left_out = {"make_retain_log", "retain_epochs", "retain_lr"}
        if not inference:
            left_out.add("base_model")
        if self.benchmark in ("tofu", "lume"):
            left_out |= {"retain", "prompt_field", "text_field", "encoding"}
        if not beside:
            left_out |= {"attack", "depth", *CONTROLS, *RELEARNING}
        return self.without(*left_out, model=model, out=out, retain_log=retain_log)

    def without(self, *names: str, **changed: object) -> EvaluateOptions:
        """Return the options as if the named ones were not given, with changes."""
        given = {name: getattr(self, name) for name in self.model_fields_set - set(names)}
        return EvaluateOptions(**(given | changed))


CONTROLS: Final = ("retain_model", "starting_model")
"""Options that name the models beside the evaluated one."""
RELEARNING: Final = tuple(name for name in EvaluateOptions.model_fields if name.startswith("relearn_"))
"""Options of relearning."""

__all__ = ["CONTROLS", "RELEARNING", "Attack", "Benchmark", "EvaluateOptions"]
