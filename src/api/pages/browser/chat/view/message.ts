import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { html } from '../../shared/html.ts'
import { Icon, type IconName } from '../../shared/icons.ts'
import { memo } from '../../shared/memo.ts'
import { retry, send } from '../model/answering.ts'
import { type Message as MessageData, showing, versionsOf } from '../model/conversation.ts'
import { changeAndKeep, current } from '../model/state.ts'
import { Chain, Figures } from './answer-facts.ts'
import { copyText } from './copy-text.ts'
import { EditBox } from './edit-box.ts'
import { edited } from './edited.ts'
import { Incidents } from './incidents.ts'
import { RichText } from './rich-text.ts'

interface MessageProps {
  readonly message: MessageData
  /** Which of the versions in this place it is. */
  readonly version: number
  readonly numVersions: number
  readonly isLast: boolean
  /** Whether the conversation is being answered: then nothing else can be asked. */
  readonly isBusy: boolean
}

export const Message = memo((props: MessageProps): VNode =>
  props.message.role === 'user' ? html`<${Question} ...${props} />` : html`<${Answer} ...${props} />`,
)

function Question({ message, isBusy, ...versions }: MessageProps): VNode {
  const { id, text, parent } = message
  if (edited.value === id) {
    const save = (changed: string): void => {
      stopEditing()
      send(changed, parent)
    }
    return html`<li class="message user"><${EditBox} text=${text} onSave=${save} onCancel=${stopEditing} /></li>`
  }
  return html`<li class="message user">
    <div class="bubble">
      <span class="off-screen">You: </span>
      <div dir="auto">${text}</div>
    </div>
    <div class="actions">
      <${Versions} message=${message} ...${versions} />
      <${CopyButton} text=${text} />
      ${!isBusy && html`<${Action} icon="edit" name="Edit" onClick=${() => (edited.value = id)} />`}
    </div>
  </li>`
}

function stopEditing(): void {
  edited.value = undefined
}

function Answer({ message, isBusy, isLast, ...versions }: MessageProps): VNode {
  const { text, facts } = message
  const isComing = facts?.state === 'streaming'
  const [toggled, setToggled] = useState(false)
  const showsChain = toggled !== isLast
  return html`<li class="message assistant">
    <span class="off-screen">Model: </span>
    <${Reasoning} text=${facts?.reasoning} isOpen=${isComing && text === ''} />
    <${RichText} text=${text} isComing=${isComing} />
    ${facts !== undefined && html`<${Incidents} facts=${facts} />`}
    <div class="actions">
      ${!isComing && html`<${Versions} message=${message} ...${versions} />`}
      ${!isComing && text !== '' && html`<${CopyButton} text=${text} />`}
      ${!isBusy && html`<${Action} icon="retry" name="Retry" onClick=${() => retry(message)} />`}
      ${facts && html`<${Figures} facts=${facts} isOpen=${showsChain} onToggle=${() => setToggled(!toggled)} />`}
    </div>
    ${showsChain && html`<${Chain} chain=${facts?.chain ?? []} />`}
  </li>`
}

/** What the model told itself first; open while it does. */
function Reasoning({ text, isOpen }: { readonly text: string | undefined; readonly isOpen: boolean }): VNode | null {
  if (text === undefined) return null
  return html`<details class="reasoning" open=${isOpen}>
    <summary>Reasoning</summary>
    <div dir="auto">${text}</div>
  </details>`
}

function Versions({ message, version, numVersions }: Pick<MessageProps, 'message' | 'version' | 'numVersions'>) {
  if (numVersions < 2) return null
  const go = (by: number) => () =>
    changeAndKeep(current.value.id, (conversation) =>
      showing(conversation, versionsOf(conversation, message)[version + by] ?? message),
    )
  return html`<span class="versions">
    <button type="button" class="icon-button" aria-label="Version before" disabled=${version === 0} onClick=${go(-1)}>
      <${Icon} name="left" />
    </button>
    <span aria-label=${`Version ${version + 1} of ${numVersions}`}>${version + 1}/${numVersions}</span>
    <button
      type="button"
      class="icon-button"
      aria-label="Version after"
      disabled=${version === numVersions - 1}
      onClick=${go(1)}
    >
      <${Icon} name="right" />
    </button>
  </span>`
}

function CopyButton({ text }: { readonly text: string }): VNode {
  const [isCopied, setCopied] = useState(false)
  const copy = (): void => {
    void copyText(text).then((done) => {
      setCopied(done)
      setTimeout(() => setCopied(false), 1500)
    })
  }
  return html`<${Action} icon=${isCopied ? 'check' : 'copy'} name=${isCopied ? 'Copied' : 'Copy'} onClick=${copy} />`
}

interface ActionProps {
  readonly icon: IconName
  readonly name: string
  readonly onClick: () => void
}

function Action({ icon, name, onClick }: ActionProps): VNode {
  return html`<button type="button" class="icon-button" aria-label=${name} title=${name} onClick=${onClick}>
    <${Icon} name=${icon} />
  </button>`
}
