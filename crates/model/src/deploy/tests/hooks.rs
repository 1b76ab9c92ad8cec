//! The hooks of the tools that save a dump.

use super::*;

#[test]
fn hooks_start_the_harness_once_the_dump_is_saved() {
    let written = hooks(&good());
    let [unit, script] = &written.edits[..] else {
        panic!("{written:?}")
    };
    assert!(
        unit.text
            .contains(&std::format!("ExecStart=\nExecStart={}\n", script.path))
    );
    assert!(script.executable && !unit.executable);
    for part in [
        "if kdump-config savecore &&\n",
        "|| /usr/bin/stalecore deploy --saved \"${KDUMP_COREDIR:-/var/crash}\"; }; then\n\t/usr/bin/stalecore deploy now --start\n",
    ] {
        assert!(script.text.contains(part), "{}", script.text);
    }
    assert!(script.text.ends_with("reboot -f\n"));

    let mut facts = good();
    let conf = "# mine\npath /var/crash\ncore_collector makedumpfile -l -d 31";
    facts.dumper = Some(Dumper::KdumpUtils(conf.into()));
    let written = hooks(&facts);
    let [post, changed] = &written.edits[..] else {
        panic!("{written:?}")
    };
    assert!(
        post.text
            .contains("[ \"$1\" = 0 ] || exit 0\n/usr/bin/stalecore deploy now --start\n")
    );
    assert_eq!(changed.path, KDUMP_CONF);
    assert!(changed.text.starts_with(conf));
    assert!(changed.text.contains(&std::format!(
        "\nextra_bins /usr/bin/stalecore\nkdump_post {}\n",
        post.path
    )));
    assert_eq!(written.next, Some("kdumpctl restart"));
    // Written twice it is there once, and it is taken back whole.
    facts.dumper = Some(Dumper::KdumpUtils(changed.text.clone()));
    assert_eq!(hooks(&facts).edits[1].text, changed.text);
    assert_eq!(without(&changed.text), std::format!("{conf}\n"));
}

#[test]
fn hooks_have_the_plan() {
    let outlook = judged(
        &good(),
        "stalecore.ops=ic-ivau stalecore.then=reset",
        "earlycon=pl011,0x9000000",
        &image(6 << 20),
    );
    let Ok(Deed::Hooks(hooks)) = outlook.ways[2].deed.clone() else {
        panic!("{:?}", outlook.ways[2].deed)
    };
    let script = &hooks.edits[1].text;
    assert!(
        script.contains(
            "deploy now --start --ops=ic-ivau --then=reset --append=earlycon=pl011,0x9000000\n"
        ),
        "{script}"
    );
}

#[test]
fn kdump_conf_takes_one_line_of_extra_bins() {
    let of = |conf: &str| {
        let mut facts = good();
        facts.dumper = Some(Dumper::KdumpUtils(conf.into()));
        outcome(&facts, Way::AfterDump).deed
    };
    let refusal = of("extra_bins /usr/bin/foo\n").unwrap_err();
    assert!(
        refusal.what.contains("has: extra_bins /usr/bin/foo"),
        "{refusal}"
    );
    assert_eq!(
        refusal.mend,
        "sed -i 's|^[[:space:]]*extra_bins.*|& /usr/bin/stalecore|' /etc/kdump.conf"
    );
    // As that leaves it.
    let conf = "#extra_bins none\r\nextra_bins /usr/bin/foo /usr/bin/stalecore\r\n";
    let Ok(Deed::Hooks(hooks)) = of(conf) else {
        panic!("{:?}", of(conf))
    };
    let text = &hooks.edits[1].text;
    assert_eq!(text.matches("\nextra_bins").count(), 1, "{text}");
    assert!(text.contains("kdump_post"), "{text}");
    assert_eq!(without(text), conf);
    // What was written to without its end stays whole.
    let cut = text
        .trim_end()
        .strip_suffix("# stalecore deploy: end")
        .unwrap();
    let cut = std::format!("{cut}path /var/crash\n");
    assert_eq!(without(&cut), cut);
}

#[test]
fn a_command_in_memory_is_warned_of() {
    for (command, dumper, warned) in [
        ("/tmp/stalecore", Dumper::KdumpTools, true),
        ("/usr/local/sbin/stalecore", Dumper::KdumpTools, false),
        // Its initramfs has the command inside.
        ("/tmp/stalecore", Dumper::KdumpUtils(String::new()), false),
    ] {
        let facts = Facts {
            dumper: Some(dumper),
            ..good()
        };
        let ask = Ask {
            image: &image(6 << 20),
            options: &Options::default(),
            append: "",
            command,
            next: None,
        };
        let outlook = judge(&facts, &ask);
        let warns = &outlook.ways[2].warns;
        assert_eq!(
            warns.iter().any(|warn| warn.contains("copy it")),
            warned,
            "{warns:?}"
        );
    }
}
