/** Supervises the command line that it is given, says what happens on stdout, and ends as told. */
import { superviseProcess } from '../../../src/cli/process/supervise.ts'

const [program, ...args] = process.argv.slice(2)
process.exitCode = await superviseProcess({
  command: [program!, ...args],
  finalExitCodes: [0, 2],
  firstPauseMs: 20,
  maxPauseMs: 80,
  onEvent: (event) => console.log(JSON.stringify(event)),
})
