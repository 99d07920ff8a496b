//! A release behind a real SSH server, verified and repaired over SFTP only.

use std::fs;
use std::process::Command;

use syntax_publish::store::verify::Depth;

use crate::offline::verify::{FILES, Place, STORE, lines, noise};
use crate::served::contract::address;
use crate::support::sshd::{Jail, Sshd, USER, is_root};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_release_is_repaired_over_sftp() {
    for jail in Jail::all_usable() {
        let sshd = Sshd::start(jail);
        let place = Place::with_site().over_sftp(&sshd.docroot, address(&sshd));
        place.write("large.bin", "0123456789abcdef".repeat(300_000));
        let release = place.publish().await.release;
        place.assert_whole(&release).await;

        let (page, large) = (place.live("docs/a.html"), place.live("large.bin"));
        for path in [&page, &large] {
            let mut bytes = fs::read(path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(path, bytes).unwrap();
        }
        fs::remove_file(place.live("docs/a.html.br")).unwrap();
        fs::remove_dir_all(place.live("deep/er/page.html").parent().unwrap()).unwrap();

        let verified = place.verify(&release, Depth::Deep).await;
        let found = lines(&verified.faults).join("\n");
        for named in [
            "docs/a.html: the file has other bytes",
            "docs/a.html.br: the br encoding is missing",
            "large.bin: the file has other bytes",
            "the folder level of /deep/er is missing",
        ] {
            assert!(found.contains(named), "{jail:?}: {named:?} is not in\n{found}");
        }
        let repaired = place.repair(&verified).await;
        assert_eq!(lines(&repaired.left.faults), Vec::<String>::new(), "{jail:?}");
        place.assert_whole(&release).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_of_another_user_is_named_and_replaced() {
    // Only root can give a file to another user.
    if !Jail::Chroot.usable() {
        return;
    }
    let sshd = Sshd::start(Jail::Chroot);
    let place = Place::with_site().over_sftp(&sshd.docroot, address(&sshd));
    let release = place.publish().await.release;
    let page = place.live("docs/a.html");
    let bytes = fs::read(&page).unwrap();
    fs::remove_file(&page).unwrap();
    fs::write(&page, bytes).unwrap();
    let verified = place.verify(&release, Depth::Shallow).await;
    assert_eq!(
        lines(&verified.faults),
        ["docs/a.html: the file belongs to uid 0, not to the store's owner"]
    );
    let repaired = place.repair(&verified).await;
    assert_eq!(lines(&repaired.left.faults), Vec::<String>::new());
}

/// All damages are tested on one store, one after the other. Each is repaired before the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_is_named_and_repaired_over_sftp() {
    let sshd = Sshd::start(Jail::Plain);
    let place = Place::with_site().over_sftp(&sshd.docroot, address(&sshd));
    place.write("large.bin", noise(5 << 20));
    let release = place.publish().await.release;
    // A repaired file is not the same inode as its object any more, so the damage to all links of a file is left out.
    let damages = FILES.iter().chain(STORE);
    for damage in damages.filter(|damage| damage.what != "file cut short for all who share it") {
        let what = damage.what;
        (damage.harm)(&place);
        if is_root() {
            let status = Command::new("chown").args(["-hR", USER]).arg(&sshd.docroot).status();
            assert!(status.unwrap().success());
        }
        let verified = place.verify(&release, damage.depth).await;
        let found = lines(&verified.faults);
        assert!(
            found.iter().any(|line| line.contains(damage.named)),
            "{what}: {found:#?}"
        );
        let repaired = place.repair(&verified).await;
        assert_eq!(lines(&repaired.left.faults), Vec::<String>::new(), "{what}");
        place.assert_whole(&release).await;
    }
}
