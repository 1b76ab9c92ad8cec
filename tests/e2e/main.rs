//! What a user types and what happens: first against an emulator that is a shell
//! script, which can make every mishap happen, then against the built image in QEMU.

mod bare;
mod boot;
mod codes;
mod coherence;
mod consoles;
mod core_file;
mod damage;
mod dependencies;
mod deploy;
mod dist;
mod errata;
mod fabric;
mod fake;
mod fences;
mod host;
mod input;
mod install;
mod kdump;
mod late;
mod listing;
mod live;
mod makers;
mod mishaps;
mod odd_machines;
mod ramoops;
mod outputs;
mod parts;
mod readme;
mod repeat;
mod reset;
mod resume;
mod saved_log;
mod screen;
mod seen;
mod semihosting;
mod serial;
mod setup;
mod silence;
mod soak;
mod starved;
mod terminal;
mod witness;

use stalecore_synthetic as synthetic;
