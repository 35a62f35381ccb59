import { runCli } from './cli.ts'
import { COMMANDS } from './commands.ts'
import { collectBuffersWithHeap } from './process/collect-buffers.ts'
import { watchOutput } from './process/output.ts'
import { watchShutdown } from './process/shutdown.ts'

collectBuffersWithHeap()
watchOutput()
const shutdown = watchShutdown()
await runCli(process.argv.slice(2), { shutdown, commands: COMMANDS })
