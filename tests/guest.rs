//! `dlmwire lab` with a real guest: User-Mode Linux, a few seconds a boot.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use serde_json::Value;

/// Runs the lab with its evidence in a folder of its own. Its guests have limits of their own.
fn lab(name: &str, args: &[&str]) -> (Output, Evidence) {
    let place = env::temp_dir().join(format!("dlmwire-guest-{}-{name}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_dlmwire"))
        .args(["lab", "run", "--kernel", "uml", "--json", "--out"])
        .arg(&place)
        .args(args)
        .output()
        .expect("dlmwire runs");
    (output, Evidence(place))
}

/// The evidence folder, removed at the end of a test that passed.
struct Evidence(PathBuf);

impl Evidence {
    fn kernel(&self) -> PathBuf {
        self.0.join("uml-tcp")
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("evidence in {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn result(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("no result: {error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

fn status(folder: &Path) -> String {
    fs::read_to_string(folder.join("status")).unwrap_or_default()
}

#[test]
#[ignore = "needs a guest: .ci/run guest"]
fn guest_without_cases_boots_and_powers_off() {
    let (output, evidence) = lab("none", &["--case", "none"]);
    let result = result(&output);
    assert_eq!(output.status.code(), Some(0), "{result}");
    assert_eq!(status(&evidence.kernel()).trim(), "0");
    assert_eq!(result["boots"], 1, "{result}");
    assert_eq!(result["protocol"], "3.2", "{result}");
}

#[test]
#[ignore = "needs a guest: .ci/run guest"]
fn guest_with_a_case_has_its_verdict_and_evidence() {
    let (output, evidence) = lab("join", &["--case", "join"]);
    let result = result(&output);
    assert_eq!(output.status.code(), Some(0), "{result}");
    assert_eq!(result["results"][0]["verdict"], "pass", "{result}");
    let case = evidence.kernel().join("join");
    for file in ["link.pcapng", "dmesg.txt", "verdict.json"] {
        let length = fs::metadata(case.join(file)).map_or(0, |file| file.len());
        assert!(length > 0, "{file} is empty or missing");
    }
}
