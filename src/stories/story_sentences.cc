// The sentences that all plots of the synthetic stories share. stories/grammar.h explains the notation. They
// start in lower case and say "a" everywhere: the writer puts the capitals and turns "a" into "an".
#include "stories/story_text.h"

namespace flashlm {

const std::string_view kStorySentences = R"grammar(
:story
{lost}|{stuck}|{share}|{brave}|{learn}|{found}|{broke}|{warned}|{make}|{away}|{newcomer}|{build}|{contest}
{grow}
{rescue}|{mystery}

:open
once upon a time, there was a {trait} [|little |young |but {trait} |and {trait} ]{hero.kind} [named|called]
 {hero}. {about}
once upon a time, in {home}, there lived a {trait} [||and {trait} |young |little |but {trait} ]{hero.kind}
 [named|called] {hero}. {about}
{hero} was a {trait} [|little |young |but {trait} |and {trait} ]{hero.kind} who lived in {home}. {about}
there once was a {hero.kind} whose name was {hero}. {hero.he} was [very |always |]{trait}. {about}
in {home} lived {hero}, a {trait} and {trait} {hero.kind}. {about}
long ago, a {hero.kind} named {hero} lived with {hero.his} family in {home}. {about}
:about
{hero.he} [loved|liked] {hobby} and {hobby}.
everyone [knew|loved] {hero.him} because {hero.he} was so {trait}.
every {when}, {hero.he} [spent time|had fun] {hobby}.|most of all, {hero.he} [loved|enjoyed] {hobby}.
{hero.his} favorite food was {treat}.|[nothing|not much] made {hero.him} happier than {hobby}.
{hero.he} was [small|young], but {hero.he} had a [big|brave|warm] heart.
{hero} and {hero.his} family often went {outing}.
when {hero.he} was not {hobby}, {hero.he} was {hobby}.
:outing
fishing|swimming|hiking|for long walks|to {landmark}|looking for adventure
:then
one {day} {when}, {day.sky}. {hero} went to {place.the} [to play|with {hero.his} family|to look around].
one {when}, {hero} was {place}. it was a {day} day, and {day.sky}.
one {day} day, {hero} [walked|skipped|hurried] past {landmark} and [sat down|stopped|rested] {place}.
it was a {day} {when}. {day.sky}, and {hero} was {place}.
one day, {hero} woke up early. {day.sky}. "what a {day} day!" {hero.he} {exclaimed}.
on a {day} {when}, {hero} [played|wandered|sat] {place} [all alone|for a while|and hummed a tune].
:soon zipf
then |soon |after that, |a moment later, |a little later, |before long, |not long after, |in the meantime, 
at that point, 
:suddenly zipf
suddenly|all of a sudden|without warning|in the blink of an eye|all at once|out of the blue
:at_last zipf
at last|finally|in the end|after a long while|some time later
:said zipf
said|murmured|called out|whispered|declared
:detail_hero
{hero.he} [wore|had on|always wore|liked to wear] a {look} {color} {cloth}, a {color} {cloth} and a {look}
 {color} {cloth}.
in {hero.his} [bag|pocket|basket] were a {look} {pocket}, a {color} {pocket}, {number} {pocket}s and a
 {look} {color} {pocket}.
{hero.his} [best friends|cousins|neighbors] were [called|named] {girl}, {boy}, {girl}, {boy} and {girl}.
{hero.he} [kept|hid|carried] a {look} {color} {pocket} and {number} {color} {pocket}s in {hero.his} {look}
 {color} {cloth}.
{hero.he} [dreamed|talked|thought] of {color} {nature}, {look} {nature} and {number} {size} {color}
 {critter}s.
{hero.he} had {number} {color} {pocket}s, {number} {look} {pocket}s and {number} {color} {nature} under
 {hero.his} [bed|pillow|blanket].
when {hero.he} was {bad}, {hero.he} [thought|talked|dreamed] of {treat}, {look} {nature} and {size} {color}
 {critter}s.
{hero.his} [room|corner|bed] was full of {color} {pocket}s, {look} {color} {pocket}s, {pocket}s and {look}
 {nature}.
{hero.he} [played|lived|walked to school] with {girl}, {boy} and {girl}, and {hero.his} pet was a {size}
 {color} {critter}.
:detail
{hero} [saw|noticed|passed|spotted|heard] a {size} {color} {critter} and {number} {look} {critter}s {near}
 {landmark}.
{hero} [saw|passed|noticed|liked] the {color} {nature}, the {look} {nature} and a {size} {color} {critter}.
{hero} [waved to|nodded to|greeted|smiled at|looked for] {girl}, {boy}, {girl} and {boy}, who were {hobby}.
{hero} [counted|followed|watched] {number} {color} {critter}s, {number} {critter}s and {number} {look}
 {nature}.
{hero} [took out|unpacked|carried] {treat}, a {color} {pocket} and a {look} {color} {cloth}.
{hero} [could smell|touched|admired] the {color} {nature} and [watched|heard|chased|fed] a {size} {look}
 {color} {critter}.
{hero} [met|heard|saw] {girl}, {boy} and {girl}, who had {number} {color} {pocket}s and a {look} {pocket}.
{hero} put a {look} {color} {pocket}, a {color} {pocket} and {number} {nature} into {hero.his} {look}
 {cloth}.
:very
|||very |so |quite |rather |really |a little |a bit |truly 
:near
near|behind|beside|under|next to|not far from|close to
:number unique zipf
two|three|four|five|seven|ten|six|twelve|eight|nine|twenty|eleven|a hundred|forty
:detail_friend
{friend} [wore|had on] a {color} {cloth}, a {look} {cloth} and a {look} {color} {cloth}.
{friend.he} was [carrying|holding] {number} {color} {pocket}s, a {look} {pocket} and a {color} {cloth}.
{friend.he} had come from {home} with {girl}, {boy} and {number} {color} {critter}s.
{friend.he} had been {hobby} {near} {landmark} with {girl}, {boy} and {girl}.
{friend.he} was on the way to see {girl}, {boy}, {girl} and {boy} {near} {landmark}.
{friend.he} knew a lot about {look} {nature}, {color} {critter}s, {pocket}s and {color} {nature}.
{friend.he} [loved|liked|enjoyed] {hobby}, {hobby} and {hobby}.
a {size} {color} {critter} with a {color} {pocket} [sat|rode|slept] on {friend.his} {look} {color} {cloth}.
:feast
[later|that evening|afterward], {girl}, {boy} and {girl} brought {treat} and a {look} {color} {cloth}.
{girl}, {boy}, {girl} and {boy} [came too|came to see it|heard about it|were {very}{glad}].
{girl} [got|brought] {treat}, {boy} [got|brought] a {color} {pocket}, and {girl} [got|brought] a {look}
 {color} {cloth}.
{girl} [sang|told] a [lovely|funny|long|short|sweet|silly] [song|story|poem] about {number} {color}
 {critter}s and a {look} {color} {pocket}.
{helper} [brought|gave] {hero.him} a {look} {color} {cloth}, a {color} {pocket} and {treat}.
the {color} {nature}, the {look} {nature} and {number} {color} {critter}s seemed {very}{glad}, too.
{boy} [played|danced|sang] with {girl}, {number} {color} {critter}s and a {size} {look} {critter}.
{helper} put {color} {nature}, {number} {color} {pocket}s and {treat} on the table.
:exclaimed zipf
said|cried|laughed|sang|thought
:feel_glad
{hero} [felt|was] {very}{glad}.
{hero} was so {glad} that {hero.he} [danced|jumped up and down|clapped|laughed out loud|sang].
{hero} felt [as light as a feather|as happy as a lark|calm again|warm inside].
a [big|wide] smile spread over {hero.his} face.
{hero} [smiled|grinned] from ear to ear.
{hero.his} eyes [shone|sparkled] with joy.
:feel_bad
{hero} [felt|was] {very}{bad}.
{hero} was so {bad} that {hero.he} [began to cry|could not speak|sat down|hid {hero.his} face].
{hero} felt {very}{bad} and {bad}.|a tear [rolled|ran] down {hero.his} cheek.|{hero.his} {body} felt heavy.
{hero.he} did not know what to do.
"oh no!" {hero} {cried}. [|"this is terrible!"|"what shall I do now?"|"why me?"]^
:meet
just then, {friend} came by. {friend} was a {trait} [||and {trait} |young |little |but
 {trait} ]{friend.kind}.
soon {friend}, a {trait} [||and {trait} |young |little |but {trait} ]{friend.kind}, [walked|ran|came] over.
at that moment, a {trait} [||and {trait} |young |little |but {trait} ]{friend.kind} named {friend} appeared
 near {landmark}.
{friend}, a {friend.kind} from [next door|across the way|far away], [heard|saw] what had happened.
:ask_wrong
"what is wrong, {hero}?" asked {friend}[| {softly}].|"why do you look so {bad}?" {friend} asked {softly}.
"are you all right?" {friend} asked {softly}.
{friend} [looked|sat down] beside {hero} and asked, "can I help you?"
"do not [cry|worry], {hero}," {said} {friend} {softly}. "tell me what happened."
:offer
"[we can|let us] do it together," {said} {friend}[| {softly}]. "two are better than one."
"I have [a plan|an idea]!" {cried} {friend}.
"I will help you," {friend} {said} {softly}. "that is what friends are for."
"come with me," {said} {friend}[| {softly}]. "I know what to do."
"do not give up," {friend} {said} {softly}. "let us try again."
:advice
"[take a deep breath|stay calm|be patient|do not give up]," {said} {helper} {softly}. "{wisdom}."
{helper} [smiled|nodded|thought for a moment] and said, "{wisdom}."
"{wisdom}," {helper} told {hero.him} {softly}.
:wisdom unique
every big thing starts with a small step|it is fine to make mistakes|good things take time
asking for help is a brave thing to do|a problem looks smaller after a rest|you are stronger than you think
a kind word can open any door|we all feel {very}{bad} sometimes|tomorrow is a new day
slow and steady gets there too
the best answer is often the simple one|a friend makes every load lighter
:thank
"thank you[| so much|, {friend}], you are a true friend!" said {hero}[| {softly}].
{hero} gave {friend} a [big|warm|long] hug.
{hero} thanked {friend} and shared {treat} with {friend.him}.
"I could not have done it without you," {hero} told {friend}.
"you are the best friend in the world!" {hero} {cried}. {friend} [smiled|blushed|laughed].
{hero} took {friend} by the hand. "let us be friends forever," {hero.he} {said}[| {softly}].
:thank_helper
"thank you, {helper.call}!" said {hero}[| {softly}].|{hero} hugged {helper} [tightly|for a long time].
{helper} [smiled|laughed] and gave {hero.him} {treat}.|"I am proud of you," {said} {helper} {softly}.
"well done, {hero}," {helper} {said} {softly}.
:ending
[that night|at bedtime|when the stars came out], {hero} [fell asleep|went to bed] with a smile.
from that day on, {hero} was [always |]{trait} and {trait}.
[they all|everyone] lived happily for many years.
it was the best {when} {hero} had ever had.|and {hero} never forgot that {day} day.
when the sun went down, {hero} [went|walked|ran] home to eat {treat}.
{hero} could not wait for the next adventure.
[then|after that] it was time for {treat}, and {everyone} had some.|and that is how the story ends.
and from then on, {hero} [smiled|laughed] every time {hero.he} passed {landmark}.
:everyone
everyone|the whole family|all the neighbors
:ending_two
{hero} and {friend} [played|laughed] together until [the sun went down|it was time to go home|dark].
from that day on, {hero} and {friend} were best friends.
they sat [under a tree|by {landmark}|side by side] and ate {treat}.
{hero} and {friend} walked home, [singing|laughing|talking|hopping] all the way.
at the end of the day, both friends were {very}{glad}.
and the two friends [shared|told] many happy [days|stories] after that.
they had so much fun that they [met|played] again the next {when}.|{ending}
)grammar";

}  // namespace flashlm
