// Runs a program for a script.
import { spawnSync } from 'node:child_process'

/** Runs it to its end, seen by whoever started the script, unless `options` (of `spawnSync`) say otherwise; gives its output. */
export function run(command, args, options) {
  // npm on Windows is a script that needs a shell.
  const shell = command === 'npm' && process.platform === 'win32'
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    stdio: 'inherit',
    encoding: 'utf8',
    shell,
    ...options,
  })
  if (error) throw error
  if (status !== 0) throw new Error([`${command} ${args[0]} failed.`, stdout, stderr].filter(Boolean).join('\n'))
  return stdout
}
