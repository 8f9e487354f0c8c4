use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// What the fake guest leaves when it has run all that it was asked for.
const WORKING: &str = r#"
    echo '{"kernel_release":"9.9","running":null,"setup_error":null,"results":[
        {"case":"join","verdict":"pass","seconds":1.5,"kernel_release":"9.9"},
        {"case":"sctp","verdict":"unsupported","reason":"no sctp","seconds":0,"kernel_release":"9.9"}
    ]}' > result.json
    echo 0 > status"#;
/// Dies in "locks", behind "join".
const DYING: &str = r#"
    echo '{"kernel_release":"9.9","running":"locks","setup_error":null,"results":[
        {"case":"join","verdict":"pass","seconds":1.5,"kernel_release":"9.9"}
    ]}' > result.json
    echo 'Kernel panic - not syncing: planted'
    echo 'and its last words'
    exit 134"#;
/// Goes on behind the case that killed the first one.
const SECOND: &str = r#"
    echo '{"kernel_release":"9.9","running":null,"setup_error":null,"results":[
        {"case":"leave","verdict":"pass","seconds":2.5,"kernel_release":"9.9"}
    ]}' > result.json
    echo 0 > status"#;

/// A run against guests that are shell scripts, one after the other, the last one again and again.
struct Lab {
    place: PathBuf,
    job: Job,
    limits: Option<Limits>,
}

impl Lab {
    fn new(cases: &[&str]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = std::env::temp_dir().join(format!("dlmwire-lab-{}-{number}", std::process::id()));
        let job = Job {
            transport: Transport::Tcp,
            cases: cases.iter().map(ToString::to_string).collect(),
            case_deadline: Duration::from_secs(60),
            program: "/bin/false".into(),
            out: place.join("out"),
            verbose: false,
        };
        Self {
            place,
            job,
            limits: None,
        }
    }

    fn run(&self, guests: &[&str]) -> Result<KernelRun, LabError> {
        self.run_until(guests, &AtomicBool::new(false))
    }

    fn run_until(&self, guests: &[&str], stop: &AtomicBool) -> Result<KernelRun, LabError> {
        let kernel = Kernel {
            label: "fake".to_owned(),
            release: "0.0".to_owned(),
            machine: Machine::Uml,
            image: "/bin/false".into(),
            modules: "/lib/modules/0.0".into(),
            packages: Vec::new(),
        };
        let boots = Cell::new(0);
        let commands = |plan: &RunPlan| {
            let script = guests[boots.get().min(guests.len() - 1)];
            boots.set(boots.get() + 1);
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).current_dir(&plan.out);
            Ok(command)
        };
        run_by(&kernel, &self.job, stop, &mut |_| (), &commands, self.limits)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

fn verdicts(run: &KernelRun) -> Vec<(&str, &Verdict)> {
    run.results
        .iter()
        .map(|result| (result.case.as_str(), &result.verdict))
        .collect()
}

fn reason(run: &KernelRun, case: &str) -> String {
    let result = run.results.iter().find(|result| result.case == case);
    match result.map(|result| &result.verdict) {
        Some(Verdict::Fail { reason }) => reason.clone(),
        other => panic!("{case}: {other:?}"),
    }
}

#[test]
fn guest_that_ran_everything_is_one_boot() {
    let lab = Lab::new(&["join", "sctp"]);
    let run = lab.run(&[WORKING]).expect("a run");
    assert_eq!(run.boots, 1);
    assert_eq!(run.release, "9.9");
    assert_eq!(
        verdicts(&run),
        [
            ("join", &Verdict::Pass),
            ("sctp", &Verdict::unsupported("no sctp"))
        ]
    );
    assert!(run.is_good());
}

#[test]
fn guest_that_dies_fails_its_case_and_the_rest_goes_on() {
    let lab = Lab::new(&["join", "locks", "leave"]);
    let run = lab.run(&[DYING, SECOND]).expect("a run");
    assert_eq!(run.boots, 2);
    let expected = "guest died; its console says: Kernel panic - not syncing: planted";
    assert_eq!(reason(&run, "locks"), expected);
    assert_eq!(run.results.len(), 3);
    assert_eq!(run.results[2].verdict, Verdict::Pass);
    assert!(!run.is_good());
}

#[test]
fn guest_that_dies_before_any_case_fails_all_and_is_not_tried_again() {
    let lab = Lab::new(&["join", "leave"]);
    let run = lab.run(&["exit 1"]).expect("a run");
    assert_eq!(run.boots, 1);
    assert_eq!(reason(&run, "leave"), "guest died; its console is empty");
}

#[test]
fn guest_without_a_status_is_a_failure_even_if_every_case_passed() {
    let lab = Lab::new(&["join"]);
    let run = lab
        .run(&[&WORKING.replace("echo 0 > status", "")])
        .expect("a run");
    assert_eq!(run.results[0].verdict, Verdict::Pass);
    assert_eq!(run.broken.as_deref(), Some("guest died; its console is empty"));
    assert!(!run.is_good());
}

#[test]
fn guest_that_aborts_behind_its_status_did_its_work() {
    let lab = Lab::new(&["join", "sctp"]);
    let run = lab
        .run(&[&format!("{WORKING}; echo Aborted; exit 134")])
        .expect("a run");
    assert!(run.is_good());
}

#[test]
fn status_of_an_earlier_run_is_not_taken_for_this_one() {
    let lab = Lab::new(&["join", "sctp"]);
    assert!(lab.run(&[WORKING]).expect("a run").is_good());
    assert!(!lab.run(&["exit 0"]).expect("a run").is_good());
}

#[test]
fn guest_that_says_nothing_is_killed_with_all_its_processes() {
    let mut lab = Lab::new(&["join"]);
    lab.limits = Some(Limits {
        silence: Duration::from_millis(300),
        total: Duration::from_secs(60),
    });
    let run = lab
        .run(&["setsid sleep 600 & echo $! > child; wait"])
        .expect("a run");
    assert!(reason(&run, "join").starts_with("guest killed: no word for 0 s"));
    assert!(!is_running(&lab.job.out.join("child")));
}

#[test]
fn guest_past_its_limit_is_killed_though_it_talks() {
    let mut lab = Lab::new(&["join"]);
    lab.limits = Some(Limits {
        silence: Duration::from_secs(60),
        total: Duration::from_millis(300),
    });
    let run = lab.run(&["while :; do echo x; sleep 0.01; done"]).expect("a run");
    assert_eq!(
        reason(&run, "join"),
        "guest killed: not done after 0 s; its console says: x"
    );
}

#[test]
fn folder_of_another_run_is_left_alone() {
    let lab = Lab::new(&["join"]);
    fs::create_dir_all(lab.job.out.join("boot")).expect("a folder");
    let _other = Claim::on(&lab.job.out).expect("claimed");
    let error = lab.run(&[WORKING]).expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("another run writes its evidence there"),
        "{error}"
    );
}

#[test]
fn stop_kills_the_guest() {
    let lab = Lab::new(&["join"]);
    let stopped = lab.run_until(&["echo $$ > child; sleep 600"], &AtomicBool::new(true));
    assert!(matches!(stopped, Err(LabError::Stopped)));
    assert!(!is_running(&lab.job.out.join("child")));
}

/// Whether the process still runs whose id is in a file; an absent file is a process that never began.
fn is_running(file: &Path) -> bool {
    let Ok(id) = fs::read_to_string(file) else {
        return false;
    };
    // A killed orphan may wait a moment for being collected.
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
