#!/usr/bin/env node
// The command `helios-jobs`: runs, watches and clears away the jobs in a folder.

import { main } from '../cli/main.mjs'

await main(process.argv.slice(2))
