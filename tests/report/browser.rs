//! The page in headless Chromium: drawn, walked through by its links, and with
//! its script at work.

use std::{fs, path::Path, process::Command};

use crate::{
    setup::{report, run_of},
    synthetic::Shape,
};

/// Runs Chromium on a page and gives what it printed.
fn chromium(page: &Path, fragment: &str, arguments: &[&str]) -> String {
    let profile = tempfile::tempdir().expect("a profile");
    let url = format!("file://{}{fragment}", page.display());
    let done = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(url)
        .output()
        .expect("chromium is installed by `make deps`");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A page that loads the report in a frame of the given width and writes what it finds
/// into its own title: the browser's window cannot be as narrow as a phone.
fn probe(report: &Path, width: u32, script: &str) -> String {
    let page = report.with_file_name("probe.html");
    let html = format!(
        "<!DOCTYPE html><title>?</title>\
         <iframe id=f style='width:{width}px;height:900px' src='{}'></iframe>\
         <script>f.onload=()=>setTimeout(()=>{{const d=f.contentDocument,w=f.contentWindow;\
         Promise.resolve((async()=>{{{script}}})())\
         .then(t=>document.title='found '+t,e=>document.title='found '+e)}},200)</script>",
        report.file_name().expect("a file").to_string_lossy()
    );
    fs::write(&page, html).expect("probe.html");
    let dom = chromium(
        &page,
        "",
        &[
            "--allow-file-access-from-files",
            "--virtual-time-budget=4000",
            "--dump-dom",
        ],
    );
    let (_, rest) = dom
        .split_once("<title>found ")
        .unwrap_or_else(|| panic!("{dom}"));
    rest.split("</title>").next().unwrap_or_default().into()
}

/// Opens each case by its link, as a click does, and asks whether it alone is
/// shown; asks too whether anything is wider than the page.
const WALK: &str = "
    const shown=()=>[...d.querySelectorAll('#cases article')].filter(a=>w.getComputedStyle(a).display!='none').map(a=>a.id);
    const wait=()=>new Promise(r=>setTimeout(r,30));
    const cells=[...d.querySelectorAll('.heat td a')];
    const bad=[];
    if(shown().length)bad.push('open at the start');
    for(const cell of cells.slice(0,3).concat(cells.slice(-1))){
      cell.click();await wait();
      if(shown().join()!=cell.getAttribute('href').slice(1))bad.push('click '+shown());
      if(!cell.classList.contains('on'))bad.push('not marked');
    }
    d.dispatchEvent(new w.KeyboardEvent('keydown',{key:'Escape'}));await wait();
    if(shown().length)bad.push('open after Escape');
    const wide=d.documentElement.scrollWidth-d.documentElement.clientWidth;
    if(wide>0)bad.push(wide+' px too wide');
    const small=cells[0].getBoundingClientRect();
    if(small.width<24||small.height<24)bad.push('cells too small '+small.width+'x'+small.height);
    if(!d.documentElement.classList.contains('js'))bad.push('no script');
    return bad.length?bad.join('; '):cells.length+' cells'";

#[test]
fn each_cell_opens_its_case_on_a_phone_and_on_a_desktop() {
    for cases in [1, 432, 3000] {
        let dir = run_of(&Shape {
            cases,
            sweep: cases < 1000,
            ..Shape::default()
        });
        report(dir.path());
        for width in [390, 1280] {
            let found = probe(&dir.path().join("report.html"), width, WALK);
            assert_eq!(found, format!("{cases} cells"), "{width} px wide");
        }
    }
}

/// A case by its address, its command to be copied, and the map from the
/// keyboard.
const BY_HAND: &str = "
    const wait=()=>new Promise(r=>setTimeout(r,60));
    const bad=[];
    const shown=()=>[...d.querySelectorAll('#cases article')].filter(a=>w.getComputedStyle(a).display!='none').map(a=>a.id).join();
    if(shown()!='case-17')bad.push('shown '+shown());
    const at=d.querySelector('.heat a.on');
    if(!at||at.getAttribute('href')!='#case-17')bad.push('not marked');
    const key=(a,k)=>a.dispatchEvent(new w.KeyboardEvent('keydown',{key:k,bubbles:true}));
    const pre=d.querySelector('#case-17 .alone'),button=pre.querySelector('button'),box=button.getBoundingClientRect();
    if(!pre.textContent.includes('--ops '))bad.push('no command');
    if(box.height<24||box.width<24)bad.push('button too small');
    let copied='';
    Object.defineProperty(w.navigator,'clipboard',{value:{writeText:t=>{copied=t;return Promise.resolve()}}});
    button.click();await wait();
    if(copied!=pre.querySelector('code').textContent)bad.push('copied '+copied);
    if(button.textContent!='Copied')bad.push('button says '+button.textContent);
    key(d.body,'Escape');await wait();
    if(shown())bad.push('open after Escape');
    if(d.activeElement!=at)bad.push('the focus is lost');
    const stops=[...d.querySelectorAll('.heat td a')].filter(a=>a.tabIndex==0);
    if(stops.length!=1||stops[0]!=at)bad.push(stops.length+' tab stops');
    key(at,'ArrowRight');await wait();
    const next=d.activeElement;
    if(next==at||!next.matches('.heat td a'))bad.push('the arrow does not move');
    if(shown())bad.push('the arrow opens');
    next.click();await wait();
    if('#'+shown()!=next.getAttribute('href'))bad.push('not opened');
    key(next,'ArrowDown');await wait();
    if('#'+shown()!=d.activeElement.getAttribute('href'))bad.push('the case does not go along');
    return bad.length?bad.join('; '):'well'";

#[test]
fn a_case_has_an_address_a_command_and_a_way_by_the_keyboard() {
    let dir = run_of(&Shape::default());
    report(dir.path());
    for width in [390, 1280] {
        let page = dir.path().join("report.html#case-17");
        assert_eq!(probe(&page, width, BY_HAND), "well", "{width} px wide");
    }
}

/// The pages of the printed report, as PDF.
#[test]
fn it_is_printed() {
    let dir = run_of(&Shape::default());
    report(dir.path());
    let file = dir.path().join("report.pdf");
    let to = format!("--print-to-pdf={}", file.display());
    chromium(&dir.path().join("report.html"), "", &[&to]);
    let pdf = fs::read(file).expect("a PDF");
    let pages = String::from_utf8_lossy(&pdf)
        .matches("/Type /Page\n")
        .count();
    assert!(
        pdf.starts_with(b"%PDF") && (2..40).contains(&pages),
        "{pages}"
    );
}

#[test]
fn without_scripts_a_link_still_opens_its_case() {
    let dir = run_of(&Shape {
        cases: 20,
        ..Shape::default()
    });
    let page = report(dir.path());
    let path = dir.path().join("report.html");
    let (begin, _) = page.split_once("<script>").expect("the script");
    fs::write(&path, format!("{begin}</body></html>")).expect("written");
    let script = "d.querySelector('.heat td a').click();await new Promise(r=>setTimeout(r,50));\
                  const a=d.querySelector('#cases article:target');\
                  return a&&w.getComputedStyle(a).display+' '+a.querySelectorAll('path').length";
    let found = probe(&path, 1280, script);
    assert!(found.starts_with("block "), "{found}");
}

/// The pictures differ from a blank one, and dark from light.
#[test]
fn it_is_drawn_in_light_and_in_dark() {
    let dir = run_of(&Shape::default());
    report(dir.path());
    let page = dir.path().join("report.html");
    let shot = |name: &str, more: &[&str]| {
        let file = dir.path().join(name);
        let option = format!("--screenshot={}", file.display());
        let mut arguments = vec![option.as_str(), "--window-size=1280,1600"];
        arguments.extend(more);
        chromium(&page, "", &arguments);
        fs::read(file).expect("a picture")
    };
    let light = shot("light.png", &[]);
    let dark = shot("dark.png", &["--blink-settings=preferredColorScheme=0"]);
    assert!(
        light.len() > 100_000 && dark.len() > 100_000,
        "{} {}",
        light.len(),
        dark.len()
    );
    assert_ne!(light, dark);
}
