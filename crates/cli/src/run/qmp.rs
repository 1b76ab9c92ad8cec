//! QEMU's monitor, for the few commands that are needed here.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

/// The longest answer that is read: the registers of 512 cores are 1 MiB.
const LONGEST: u64 = 16 << 20;

/// A connection to the monitor. Every call ends within its time.
pub struct Qmp {
    stream: BufReader<UnixStream>,
    patience: Duration,
}

impl Qmp {
    /// Connects and agrees on capabilities; `patience` bounds this and each
    /// command.
    ///
    /// # Errors
    /// Nobody listens, or what listens is not QEMU.
    pub fn connect(path: &Path, patience: Duration) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(path).context("QEMU's monitor")?;
        stream.set_write_timeout(Some(patience))?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
            patience,
        };
        let greeting = qmp.line(Instant::now() + patience)?;
        ensure!(greeting.get("QMP").is_some(), "no QEMU monitor");
        qmp.command("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and gives what it returns.
    ///
    /// # Errors
    /// QEMU refuses it, or does not answer in time.
    pub fn command(&mut self, name: &str, arguments: &Value) -> anyhow::Result<Value> {
        self.slow_command(name, arguments, self.patience)
    }

    /// As [`Self::command`], for one that may take as long as `patience`.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn slow_command(
        &mut self,
        name: &str,
        arguments: &Value,
        patience: Duration,
    ) -> anyhow::Result<Value> {
        let until = Instant::now() + patience;
        let mut text = json!({ "execute": name, "arguments": arguments }).to_string();
        text.push('\n');
        self.stream.get_mut().write_all(text.as_bytes())?;
        loop {
            let mut answer = self.line(until)?;
            if let Some(error) = answer.get("error") {
                bail!("{name}: {}", error["desc"].as_str().unwrap_or("refused"));
            }
            // Anything else is an event.
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Runs a command of QEMU's human monitor and gives its text.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn human(&mut self, line: &str) -> anyhow::Result<String> {
        let text = self.command("human-monitor-command", &json!({ "command-line": line }))?;
        Ok(text.as_str().unwrap_or_default().to_string())
    }

    fn line(&mut self, until: Instant) -> anyhow::Result<Value> {
        let mut line = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "QEMU's monitor does not answer");
            self.stream.get_ref().set_read_timeout(Some(left))?;
            let room = LONGEST - line.len() as u64;
            let read = self.stream.by_ref().take(room).read_until(b'\n', &mut line);
            match read {
                _ if line.ends_with(b"\n") => break,
                Ok(0) => bail!("QEMU's monitor ended"),
                Ok(_) => ensure!((line.len() as u64) < LONGEST, "an endless answer"),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => bail!("QEMU's monitor does not answer"),
            }
        }
        serde_json::from_slice(&line).context("QEMU's monitor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixListener, thread};

    /// A monitor that says `lines`, waiting for a line of ours before each but
    /// the first, then stays silent.
    fn monitor(lines: &'static [&'static str]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = BufReader::new(stream.try_clone().unwrap());
            for (n, line) in lines.iter().enumerate() {
                if n > 0 {
                    asked.read_line(&mut String::new()).unwrap();
                }
                stream.write_all(line.as_bytes()).unwrap();
            }
            // Until the other end is closed.
            asked.read_to_end(&mut Vec::new()).unwrap();
        });
        (dir, path)
    }

    /// With who says nothing more, and with who answers, if late.
    const BRIEF: Duration = Duration::from_millis(300);
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn answers_are_told_from_events() {
        let (_dir, path) = monitor(&[
            "{\"QMP\": {}}\n",
            "{\"return\": {}}\n",
            "{\"event\": \"STOP\"}\n{\"return\": \"PC=0\"}\n",
            "{\"error\": {\"class\": \"x\", \"desc\": \"no such thing\"}}\n",
        ]);
        let mut qmp = Qmp::connect(&path, PATIENCE).unwrap();
        assert_eq!(qmp.human("info registers").unwrap(), "PC=0");
        let error = qmp.human("weather").unwrap_err().to_string();
        assert!(error.contains("no such thing"), "{error}");
    }

    #[test]
    fn silence_and_nonsense_end_in_time() {
        for (lines, patience, part) in [
            (&["{\"QMP\": {}}\n"][..], BRIEF, "does not answer"),
            (&["{\"QMP\""], BRIEF, "does not answer"),
            (&["220 smtp\n"], PATIENCE, "monitor"),
            (&["{}\n"], PATIENCE, "no QEMU"),
        ] {
            let (_dir, path) = monitor(lines);
            let begin = Instant::now();
            let error = format!("{:#}", Qmp::connect(&path, patience).err().unwrap());
            assert!(error.contains(part), "{error}");
            assert!(begin.elapsed() < PATIENCE / 2);
        }
        assert!(Qmp::connect(Path::new("/nonexistent/qmp"), PATIENCE).is_err());
    }
}
