import { writeFile } from 'node:fs/promises'
import { COMMANDS } from '../commands.ts'
import { configurationPage } from './configuration-page.ts'

// npm run docs
await writeFile(new URL('../../../docs/configuration.md', import.meta.url), configurationPage(COMMANDS))
