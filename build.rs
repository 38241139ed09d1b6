//! Hands the linker what a Node addon needs.

fn main() {
    #[cfg(feature = "node")]
    {
        napi_build::setup();
        link();
    }
}

/// What is particular to Linux with glibc, where the linker is the LLD that Rust brings.
#[cfg(feature = "node")]
fn link() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let argument = |argument: &str| println!("cargo::rustc-cdylib-link-arg={argument}");
    if variable("TARGET") == "x86_64-unknown-linux-gnu" && variable("OPT_LEVEL") != "0" {
        // Functions that are the same in machine code become one: a megabyte less.
        argument("-Wl,--icf=all");
    }
    // The libraries of an older system, so that the addon loads there, too (scripts/sysroot.mjs). Symbols get the versions
    // that they have in these.
    println!("cargo::rerun-if-env-changed=HELIOS_SYSROOT");
    let sysroot = variable("HELIOS_SYSROOT");
    if !sysroot.is_empty() {
        argument(&format!("--sysroot={sysroot}"));
        for folder in ["usr/lib64", "lib64"] {
            argument(&format!("-L{sysroot}/{folder}"));
        }
    }
}
