//! Boot arguments: the options as words `stalecore.key=value`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{AfterBlock, Auto, CounterChoice, Options, PREFIX, Scenario, Sentinel, values::names};

impl Options {
    /// Reads boot arguments: words `stalecore.key=value`; others are somebody
    /// else's and are passed over.
    ///
    /// # Errors
    /// As [`Self::set`], for the first word that is wrong.
    pub fn from_bootargs(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for word in text.split_ascii_whitespace() {
            let Some(word) = word.strip_prefix(PREFIX) else {
                continue;
            };
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{PREFIX}{word}: no '=' and value"))?;
            options.set(key, value)?;
        }
        Ok(options)
    }

    /// Writes the boot arguments that give these options: only what differs
    /// from the default, so that they fit a board's command line.
    pub fn to_bootargs(&self) -> String {
        let default = Self::default();
        let mut words: Vec<String> = Vec::new();
        let mut add = |key: &str, value: String| words.push(format!("{PREFIX}{key}={value}"));
        if self.ops != default.ops {
            add("ops", names(&self.ops));
        }
        if self.stale != default.stale {
            add("stale", names(&self.stale));
        }
        if let Some(cpus) = &self.stale_cpus {
            add("stale-cpus", cpus.to_string());
        }
        if self.initiators != default.initiators {
            add("initiators", self.initiators.to_string());
        }
        if self.lines != default.lines {
            add("lines", names(&self.lines));
        }
        if self.samples != default.samples {
            add("samples", self.samples.to_string());
        }
        if let Some(ms) = self.deadline_ms {
            add("deadline-ms", ms.to_string());
        }
        if let Some(milli) = self.max_slowdown {
            add(
                "max-slowdown",
                format!("{}.{:03}", milli / 1000, milli % 1000),
            );
        }
        match self.sweep {
            Auto::Auto => {}
            Auto::On => add("sweep", "on".to_string()),
            Auto::Off => add("sweep", "off".to_string()),
        }
        match self.sentinel {
            Sentinel::Auto => {}
            Sentinel::Off => add("sentinel", "off".to_string()),
            Sentinel::Cpu(cpu) => add("sentinel", cpu.to_string()),
        }
        match self.counter {
            CounterChoice::Auto => {}
            CounterChoice::Pmccntr => add("counter", "pmccntr".to_string()),
            CounterChoice::Cntvct => add("counter", "cntvct".to_string()),
        }
        if self.icount {
            add("icount", "on".to_string());
        }
        if let Some(fabric) = &self.fabric {
            add("fabric", fabric.to_string());
        }
        if self.bisect {
            add("bisect", "on".to_string());
        }
        if !self.recorder {
            add("recorder", "off".to_string());
        }
        if self.after_block == AfterBlock::Reset {
            add("after-block", "reset".to_string());
        }
        if self.semihosting {
            add("semihosting", "on".to_string());
        }
        if self.hold {
            add("hold", "on".to_string());
        }
        if self.scenario == Scenario::Kdump {
            add("scenario", "kdump".to_string());
        }
        if self.kernel != default.kernel {
            add("kernel", self.kernel.to_string());
        }
        if self.trace {
            add("trace", "on".to_string());
        }
        if self.watchdog_ms != default.watchdog_ms {
            add("watchdog-thresh", format!("{}ms", self.watchdog_ms));
        }
        words.join(" ")
    }
}
