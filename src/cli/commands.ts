import { apiCommand } from './commands/api/command.ts'
import { bootstrapCommand } from './commands/bootstrap/command.ts'
import { chatCommand } from './commands/chat/command.ts'
import type { ProgramCommand } from './commands/command.ts'
import { completionCommand } from './commands/completion/command.ts'
import { demoCommand } from './commands/demo/command.ts'
import { doctorCommand } from './commands/doctor/command.ts'
import { evalCommand } from './commands/eval/command.ts'
import { generateCommand } from './commands/generate/command.ts'
import { keygenCommand } from './commands/keygen/command.ts'
import { inviteCommand } from './commands/invite/command.ts'
import { listCommand } from './commands/list/command.ts'
import { pullCommand } from './commands/pull/command.ts'
import { rmCommand } from './commands/rm/command.ts'
import { serveCommand } from './commands/serve/command.ts'
import { statusCommand } from './commands/status/command.ts'
import { tokenizeCommand } from './commands/tokenize/command.ts'
import { tuneCommand } from './commands/tune/command.ts'
import { verifyCommand } from './commands/verify/command.ts'

/** All commands, in the order of --help. */
export const COMMANDS: readonly ProgramCommand[] = [
  demoCommand,
  serveCommand,
  bootstrapCommand,
  generateCommand,
  chatCommand,
  apiCommand,
  tokenizeCommand,
  tuneCommand,
  evalCommand,
  statusCommand,
  verifyCommand,
  doctorCommand,
  pullCommand,
  listCommand,
  rmCommand,
  keygenCommand,
  inviteCommand,
  completionCommand,
]
