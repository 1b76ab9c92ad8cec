//! Plans by name.

use super::Options;

/// Defines the presets: each has a name, and the words that it stands for.
macro_rules! presets {
    ($($preset:ident = $name:literal, $about:literal, $words:literal;)*) => {
        /// A plan by name: what it sets holds unless another key says otherwise.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Preset {
            $(#[doc = $about] $preset,)*
        }

        impl Preset {
            /// Every preset.
            pub const ALL: &'static [Self] = &[$(Self::$preset),*];

            /// In the form that `one_of` reads.
            pub(super) const NAMES: &'static [(&'static str, Self)] =
                &[$(($name, Self::$preset)),*];

            /// The name on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$preset => $name),* }
            }

            /// What it is, in one line.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$preset => $about),* }
            }

            /// The keys and values that it stands for.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$preset => $words),* }
            }
        }
    };
}

presets! {
    FirstLight = "first-light",
        "few samples of one operation of each kind, in states that any machine has",
        "ops=none,dsb-idle,ic-iallu,tlbi-vmalle1,dc-civac,ic-ivau,tlbi-vaae1is,dsb-ish,ldr-cold,\
         ifetch-cold,ldr-device,psci-version \
         stale=parked,wfi-masked,spin,cpu-off samples=16 sweep=off wait=120s dwell=off";
    Kdump = "kdump",
        "a kernel's crash path, end to end: the scenario kdump",
        "scenario=kdump";
    AfterIdle = "after-idle",
        "operations after a dwell of one second, while every other core waits, or was never started",
        "ops=none,dsb-idle,ic-iallu,tlbi-vmalle1,dc-civac,ic-ivau,tlbi-vaae1is,dsb-ish,ldr-cold,\
         ifetch-cold,ldr-device,stxr \
         stale=never-started,parked,wfi-masked,wfe,wfe-masked,cpu-suspend dwell=1s wait=120s";
    Errata = "errata",
        "what stages the known errata of this machine (stalecore list errata)",
        "ops=all stale=all lines=all dwell=100ms wait=120s";
    All = "all",
        "everything: each operation and routine, stale state and line state",
        "ops=all stale=all lines=all";
}

impl Options {
    /// What a preset sets; the rest is as without a preset.
    pub fn of(preset: Preset) -> Self {
        let mut options = Self {
            preset: Some(preset),
            ..Self::default()
        };
        for word in preset.words().split(' ') {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let set = options.set(key, value);
            debug_assert_eq!(set, Ok(()));
        }
        options
    }
}
