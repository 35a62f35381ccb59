import { apiCommand } from './api/command.ts'
import { bootstrapCommand } from './bootstrap/command.ts'
import { chatCommand } from './chat/command.ts'
import type { ProgramCommand } from './command.ts'
import { completionCommand } from './completion/command.ts'
import { demoCommand } from './demo/command.ts'
import { doctorCommand } from './doctor/command.ts'
import { evalCommand } from './eval/command.ts'
import { generateCommand } from './generate/command.ts'
import { keygenCommand } from './keygen/command.ts'
import { inviteCommand } from './invite/command.ts'
import { listCommand } from './list/command.ts'
import { pullCommand } from './pull/command.ts'
import { rmCommand } from './rm/command.ts'
import { serveCommand } from './serve/command.ts'
import { statusCommand } from './status/command.ts'
import { tokenizeCommand } from './tokenize/command.ts'
import { tuneCommand } from './tune/command.ts'
import { verifyCommand } from './verify/command.ts'

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
