//! A short run of every target: what `make test` has time for. `make fuzz` takes longer.

use std::time::Duration;

use fuzz::targets::TARGETS;
use fuzz::{corpus, engine};

/// All targets at once take a few times this on two cores.
const TIME: Duration = Duration::from_secs(2);

#[test]
fn no_parser_of_foreign_bytes_breaks() {
    // The same inputs in each run: what is new is for `make fuzz` to find, not for somebody's unrelated change.
    let seed = 1;
    for target in TARGETS {
        let inputs = corpus::read(target.name).unwrap_or_else(|error| panic!("the corpus of {}: {error}", target.name));
        assert!(!inputs.is_empty(), "{} has no input to begin with", target.name);
        let report = engine::run(target, inputs, seed, TIME).unwrap_or_else(|failure| {
            panic!(
                "{} broke: {}\ninput (seed {seed}): {:?}",
                target.name,
                failure.message,
                String::from_utf8_lossy(&failure.input)
            )
        });
        println!("{:<24} {:>9} inputs, {} answers", target.name, report.runs, report.answers);
        assert!(report.runs > 100 && report.answers > 1, "{}: {report:?}", target.name);
    }
}
