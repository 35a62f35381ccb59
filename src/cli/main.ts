import { runCli } from './cli.ts'
import { COMMANDS } from './commands.ts'
import { watchShutdown } from './process/shutdown.ts'

// The reader of the output is gone (e.g. `head`): there is nobody to report an error to.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
const shutdown = watchShutdown()
await runCli(process.argv.slice(2), { shutdown, commands: COMMANDS })
