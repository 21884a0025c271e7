// The plots of the synthetic stories, each with the sentences that belong to it alone. stories/grammar.h
// explains the notation and stories/story_sentences.cc the conventions.
#include "stories/story_text.h"

namespace flashlm {

const std::string_view kStoryPlots = R"grammar(
:lost
{open} {detail_hero} {owns}\n{then} {detail} {plays} {gone} {search}\n{meet} {detail_friend} {ask_wrong}
 {tell_lost} {offer}\n{soon}{detail} {find} {feel_glad} {thank}\n{feast} {lost_end}
{open} {detail_hero} {owns} {gone_morning} {feel_bad}\n{search_home} {advice} {detail}\n{soon}{detail}
 {find_alone} {feel_glad} {feast} {lost_end}
:owns
{hero} [had|owned|took great care of] a {look} {color} {thing}.
{hero} had a {size} {thing} that {helper} had given {hero.him}.
for {hero.his} birthday, {hero} got a {look} {color} {thing} from {helper}.
{hero.his} favorite toy was a {look} {color} {thing}.
{helper} had made a {look} {color} {thing} for {hero}.
:plays
{hero.he} [loved|wanted] to {thing.play}.|{hero.he} took the {thing} along to {thing.play}.
"I am going to {thing.play}," {hero.he} {said} {softly}.
:gone
but when {hero.he} looked [down|around|again], the {thing} was gone. {feel_bad}
{soon}{hero.he} [stopped to rest|closed {hero.his} eyes|fell asleep]. when {hero.he} woke up, the {thing}
 was [gone|missing]. {feel_bad}
{suddenly}, {hero.he} could not find the {thing} [anywhere|any more]. {feel_bad}
:gone_morning
one {day} {when}, {hero} wanted to {thing.play}, but the {thing} was [gone|not there|nowhere to be seen].
one {when}, the {thing} was missing. "where is my {thing}?" {hero} {cried}.
:search
[||{soon}]{hero.he} [looked|searched|peeked|hunted] {place.s1}, but there was only {junk}.
[||{soon}]{hero.he} searched {place.s1}. {hero.he} found {junk}, but no {thing}.
[||{soon}]{hero.he} [looked|searched|peeked|hunted] {how} {place.s1} and {place.s2}. {hero.he} saw {junk}
 and {junk}, but not the {thing}.
first {hero.he} [looked|searched|peeked|hunted] {place.s2}. [nothing was there|it was empty].
 {soon}{hero.he} [looked|searched|peeked|hunted] {place.s1} and saw {junk}.
:search_home
[||{soon}]{hero} looked under the bed, but there was only {junk}. {hero.he} ran to {helper}. "have you seen
 my {thing}?" {hero.he} asked[| {softly}].
[||{soon}]{hero} looked [high and low|everywhere]. {soon}{hero.he} went to {helper} for help. "I lost my
 {thing}," {hero.he} {said} {sadly}.
:tell_lost
"I have lost my {thing}," {said} {hero} {sadly}.|"my {look} {thing} is gone!" {cried} {hero}.
"I cannot find my {thing}," {hero} {said} {sadly}. "I [looked|searched] everywhere."
:find
they [looked|searched|peeked|hunted] {how} {place.s3}. there was the {thing}! {whose}
{friend} pointed to a [bump|shadow|bit of {color}] {place.s3}. "look!" {friend.he} {cried}. it was the
 {thing}. {whose}
they searched together. {at_last}, {hero} found the {thing} {place.s3}. {whose}
:find_alone
so {hero} thought {how}. where had {hero.he} been the day before? {soon}{hero.he} remembered. {hero.he} ran
 to look {place.s3}, and
 there was the {thing}! {whose}
[||{soon}]{hero} went back outside {how}. this time, {hero.he} [looked|searched|peeked|hunted] {place.s3}.
 there it was, next to {junk}! {whose}
:whose

a [snail|ladybug|caterpillar|tiny mouse] was sleeping on it.
it was a little [dusty|wet], but it was not broken.|it had been there all the time.
:lost_end
{lesson_lost} {ending}|{ending}|{lesson_lost}
after that, {hero} always put the {thing} in a [safe place|box|drawer]. {ending}
:lesson_lost
[||{soon}]{hero} learned to take better care of {hero.his} things.
[||{soon}]{hero} learned to look {how} and never give up.
"next time I will [be more careful|keep it close]," {hero} {said}.

:stuck
{open} {detail_hero} {owns}\n{then} {detail} {plays} {up_high} {feel_bad}\n{try_reach}
 {try_reach2}\n{soon}{detail} {meet} {detail_friend} {offer} {use_tool}\n{feel_glad} {thank} {feast}
 {ending_two}
{open} {detail_hero} {owns}\n{then} {detail} {plays} {up_high}\n{soon}{detail} {try_reach} {feel_bad}
 {call_helper} {use_tool_helper}\n{thank_helper} {feast} {ending}
:high once unique .on
tall tree / on a high branch|roof / on the edge of the roof|hedge / on top of the thorny hedge
wall / on top of the old wall
lamp post / on the top of the lamp post|gate / on the spikes of the gate|cliff / on a narrow ledge
barn / on the beam of the barn
:up_high
but {oops}, and the {thing} landed {high.on}.
then {oops}. the {thing} flew [up, up, up|through the air] and got stuck {high.on}.
all of a sudden, {oops}. when {hero.he} looked up, the {thing} was {high.on}.
:oops unique
{storm}|{hero.he} tripped over {junk}|a [cheeky|naughty] bird grabbed it|{hero.he} threw it too high
{hero.he} sneezed
a [gust|puff] of wind took it away|a big dog chased {hero.him}
:try_reach
[||{soon}]{hero} jumped as high as {hero.he} could, but the {high} was too [tall|high].
[||{soon}]{hero.he} stood on {hero.his} toes, but {hero.he} could not reach it.
[||{soon}]{hero} tried to climb the {high}, but {hero.he} slid [down|back] again.
[||{soon}]{hero} shook the {high}, but only {junk} fell down.
:try_reach2
next, {hero.he} threw a [shoe|small stone|pine cone] at it. that did not work either.
{soon}{hero.he} made a tower of boxes, but it fell down with a crash.
[||{soon}]{hero.he} called to the {thing}, "come down, please!"^ of course, it did not [move|answer].
[||{soon}]{hero.he} waited for the wind to blow it down. it did not move.
:use_tool
{friend} ran home and came back with a {tool}. {friend} held the {tool} {how} while {hero} reached up.
 {at_last}, the {thing} came down!
they looked around and found a {size} {tool} {place.s1}. with the {tool}, they pushed the {thing} {how}. it
 fell right into {hero.his} arms!
{friend} climbed onto {hero}'s shoulders. with a {tool}, {friend.he} touched the {thing}, and down it came!
:call_helper
so {hero} ran to find {helper}. "please help me," {hero.he} {said}[| {softly}]. "my {thing} is {high.on}."
"I need help," thought {hero}. {hero.he} went to {helper} and told {helper.him} everything.
:use_tool_helper
{helper} [smiled|nodded] and brought a {tool}. {helper.he} used it {how}, and the {thing} came down.
"{wisdom}," {said} {helper}[| {softly}]. together they carried a {tool} to the {high} and got the {thing}
 back.

:share
{open} {detail_hero} {owns}\n{then} {detail} {plays} {meet} {detail_friend} {want_it}
 {refuse}\n{alone_bad}\n{soon}{detail} {change} {share_fun}\n{lesson_share} {feast} {ending_two}
{open} {detail_hero} {owns}\n{then} {detail} {plays} {meet} {detail_friend} {want_it} {refuse}\n{alone_bad}
 {feel_bad} {advice}\n{soon}{detail} {change} {share_fun}\n{feast} {ending_two}
:want_it
"may I [play with|hold|try] your {thing}?" asked {friend}[| {softly}].
{friend} looked at the {thing}. "it is so {look}! can I have a turn?" {friend.he} asked[| {softly}].
"what a {look} {thing}!" said {friend}[| {softly}]. "can we play with it together?"^
:refuse
"no! it is mine!" said {hero} and [turned away|held it tight|ran off].
[||{soon}]{hero} shook {hero.his} head. "I do not want to share," {hero.he} {said}[| {softly}].
"go away," {said} {hero}[| {softly}]. "you might break it."
:alone_bad
{friend} walked away [slowly|sadly|without a word] and sat down {place.s2}. {hero} played alone, but it was
 not much fun.
{friend} was {very}{bad} and went home. {hero} tried to {thing.play}, but it was [dull|boring] alone.
{friend} looked down at {friend.his} feet. {soon}{friend.he} left. soon {hero} felt {very}{bad}. playing
 alone was no fun.
:change
[||{soon}]{hero} thought about {friend}. {hero.he} went to {place.the} and found {friend.him}. "I am
 sorry," {said} {hero}[| {softly}]. "let us play together."
{at_last}, {hero} ran after {friend}. "please come back!" {hero.he} {cried}. "you can have the first turn."
[||{soon}]{hero} took the {thing} to {friend}. "I was wrong," {hero.he} said {sadly}. "here, you can try
 it."
:share_fun
{friend} [smiled|laughed|beamed]. they took turns to {thing.play}. it was [twice|ten times] as much fun!
"really?" asked {friend}, and {friend.his} eyes grew wide. together, they learned to {thing.play} in a new
 way.
{friend} was {very}{glad}. {friend.he} even had {treat} in {friend.his} bag, and {friend.he} gave half of
 it to {hero}.
:lesson_share
[||{soon}]{hero} learned that {moral_share}.
"sharing is [fun|good|better]," {said} {hero}[| {softly}].
[||{soon}]{hero} knew now that {moral_share}.
:moral_share
sharing makes every game better
a toy is only a toy, but a friend is a treasure|sharing makes two people happy
friends matter more than things

:brave
{open} {detail_hero} but there was one problem. {hero} was afraid of {scary}.\n{tease} {feel_bad}
 {detail}\n{soon}{detail} {brave_advice}\n{brave_try} {feast} {brave_end}
{open} {detail_hero} but {hero} was afraid of {scary}.\n{then} {detail} {brave_need}\n{soon}{detail}
 {brave_alone}\n{brave_try} {thank} {feast} {brave_end}
:tease
one day, the others wanted to {scary.try}. "come on, {hero}!" they {cried}. {hero} [shook {hero.his}
 head|stepped back|ran home].
every time {hero.he} thought of {scary}, {hero.his} {body} [pounded|felt tight|shook]. {hero.he} could not
 even {scary.try}.
one {day} {when}, {hero.his} friends [laughed|went ahead] because {hero.he} did not want to {scary.try}.
:brave_advice
[||{soon}]{hero} told {helper} about it. {advice} "first, just look. then take one [small|tiny] step."
"were you ever afraid, {helper.call}?" asked {hero}[| {softly}]. "of course," {said} {helper}[| {softly}].
 "{wisdom}."
{helper} sat down next to {hero}. "I was afraid of {scary}, too," {helper.he} {said} {softly}. "{wisdom}."
:brave_need
{suddenly}, {hero} heard a cry. it was {friend}, a {trait} [||and {trait} |young |little |but
 {trait} ]{friend.kind}, who needed help. to get there, {hero} had to {scary.try}.
{friend}, a {trait} [||and {trait} |young |little |but {trait} ]{friend.kind}, was in trouble. "help me,
 {hero}!" {friend} {cried}. the only way was to {scary.try}.
:brave_alone
{hero.his} legs [shook|felt like jelly]. "I am [scared|afraid], but {friend} needs me," {hero.he}
 [whispered|thought].
[||{soon}]{hero} closed {hero.his} eyes and counted to [three|five|ten]. "I can do this," {hero.he}
 {said}[| {softly}].
:brave_try
so {hero} tried {how}. {hero.he} found out that {scary.truth}. {feel_glad}
[||{soon}]{hero} held {hero.his} breath and [took a step|went on]. nothing bad happened! {scary.truth}.
 {feel_glad}
[||{soon}]{hero.he} started to {scary.try}, [slowly at first|with shaking knees]. {soon}{hero.he} saw that
 {scary.truth}. "it is not so bad!" {hero.he} {exclaimed}.
:brave_end
{ending}
{hero} was not afraid of {scary} any more. {ending}
"being brave means trying even when you are scared," {said} {hero}[| {softly}]. {ending}
from then on, everyone called {hero.him} {hero} the Brave.

:learn
{open} {detail_hero} {hero} wanted to learn how to {skill}.\n{see_skill} {try1} {detail}\n{laugh}
 {feel_bad}\n{soon}{detail} {meet} {detail_friend} {teach} {practice}\n{success} {thank} {feast} {learn_end}
{open} {detail_hero} more than anything, {hero} wished to {skill}.\n{then} {detail} {try1} {try2}
 {feel_bad}\n{soon}{detail} {advice} {tip_helper} {practice}\n{success} {feast} {learn_end}
:see_skill
one {day} {when}, {hero.he} saw {helper} do it. it looked so easy!
{helper} could do it very well, and {hero} wanted to be just like {helper.him}.
one day, {hero} told {helper}, "I will learn it today!"^
:try1
[||{soon}]{hero} tried, but {hero.he} {skill.fail}.|the first time, {hero.he} {skill.fail}.
[||{soon}]{hero.he} started {how}. oh dear! {hero.he} {skill.fail}.
:try2
[||{soon}]{hero.he} tried [again|once more] and almost did it, but not quite.
the second time was even worse.
[||{soon}]{hero.he} tried again {how}. it still did not work.
:laugh
a {animal} nearby [laughed|giggled].
"this is too hard," {hero} {said} {sadly}.
"I will never learn to {skill}!" {hero} {cried}.
[||{soon}]{hero.he} [kicked a stone|sat down] and looked at {junk} on the ground.
:teach
"I can show you," {said} {friend}[| {softly}]. "{skill.tip}."
{friend} showed {hero} how to do it {how}. "{skill.tip}," {friend.he} {said}[| {softly}].
"I learned it last [summer|year|week]," {said} {friend}[| {softly}]. "the secret is this: {skill.tip}."
:tip_helper
"and here is a secret," {helper} {said}. "{skill.tip}."|"{skill.tip}," {helper} added.
{soon}{helper} showed {hero.him} the trick: "{skill.tip}."
:practice
[||{soon}]{hero} practiced every {when} for [three days|a week|many days|a whole month].
[||{soon}]{hero.he} tried [five|ten|twenty] times. each time, it went a little better.
day after day, {hero} practiced {how}. {hero.he} practiced {place}, and {hero.he} practiced by {landmark}.
:success
then, one {when}, {hero} {skill.past}! {feel_glad}
{at_last}, {hero.he} {skill.past}. "I did it! I did it!" {hero.he} {cried}.
{at_last}, in front of {everyone}, {hero.he} {skill.past}. everybody clapped. {feel_glad}
:learn_end
[||{soon}]{hero} learned that practice makes things easier. {ending}|{ending}
soon, {hero} was teaching a [small|young] {animal} how to {skill}. {ending}
"never give up," {hero} liked to say after that. {ending}

:found
{open} {detail_hero}\n{then} {detail} {spot_it} {keep}\n{owner_comes} {hide_or_not}\n{soon}{detail}
 {give_back} {reward}\n{feast} {honest_end}
{open} {detail_hero}\n{then} {detail} {spot_it} {meet} {detail_friend} {discuss}\n{soon}{detail}
 {owner_comes} {give_back} {reward}\n{feast} {ending_two}
:spot_it
{place.s1}, {hero.he} saw something {color}. it was a {look} {color} {thing}!
[||{soon}]{hero.he} found a {look} {color} {thing} lying {place.s2}.
something [shone|moved] {place.s3}. {hero.he} picked it up {how}. it was a {look} {color} {thing}.
:keep
"it is so {look}," {hero.he} {said}[| {softly}]. "I want to keep it."
{hero} looked around. [nobody|no one|not a soul] was there. {hero.he} put the {thing} in {hero.his} bag.
[||{soon}]{hero.he} began to {thing.play}. it was wonderful.
:discuss
"look what I found," {said} {hero}[| {softly}]. "do you think it belongs to someone?" asked
 {friend}[| {softly}]. "let us [ask|find out]."
"finders keepers!" said {hero}[| {softly}]. {friend} shook {friend.his} head. "someone may be {very}{bad}
 without it," {friend.he} {said}[| {softly}].
:owner_comes
then a {owner} came along, looking {very}{bad}. "have you seen my {thing}?" {owner.he} asked[| {softly}].
near {landmark}, a {owner} was crying. {owner.he} had lost {owner.his} {thing}.
soon they heard a sad voice. it was a {owner}. "I cannot find my {thing}," {owner.he} {said}[| {softly}].
 "it was a present from {owner.his} {grand}."
:grand
mother|father|sister|brother|best friend
:hide_or_not
[||{soon}]{hero} did not want to give it up. {hero.his} {body} [hurt|felt heavy]. {soon}{hero.he} knew what
 was right.
for a moment, {hero} said nothing. but {hero.he} felt {very}{bad}.
[||{soon}]{hero} thought of {helper}. {helper} always said, "{wisdom}."
:give_back
"is this yours?" asked {hero} and held up the {thing}.
[||{soon}]{hero} ran over. "here is your {thing}," {hero.he} {said}[| {softly}]. "I found it {place}."
[||{soon}]{hero} gave the {thing} back {how}. "I am sorry that I took it," {hero.he} {said}[| {softly}].
:reward
"oh, thank you! you are so [kind|honest|good|thoughtful]!" {cried} the {owner}, and {owner.he} gave
 {hero} {treat}.
the {owner} was {very}{glad}. "I will [never|not] forget this," {owner.he} {said}[| {softly}]. {feel_glad}
the {owner} smiled through {owner.his} tears. "as a thank you, here is {treat}," {owner.he}
 {said}[| {softly}].
the {owner} laughed with joy and let {hero} {thing.play}. {feel_glad}
:honest_end
[||{soon}]{hero} learned that {moral_honest}. {ending}
giving the {thing} back felt better than keeping it. {ending}|{ending}
:moral_honest
being honest feels good|doing the right thing is its own reward|the truth is better than any toy
it is good to give back what is not yours

:broke
{open} {detail_hero}\nin the house there was a {look} {breakable}. {helper} used it to {breakable.use}.
 {rule_house} {detail}\n{accident} {crash} {feel_bad}\n{hide_it} {asked}\n{soon}{detail} {confess}
 {forgive}\n{feast} {truth_end}
{open} {detail_hero}\n{helper} had a {color} {breakable}. {rule_house} {detail}\n{accident} {crash} {meet}
 {detail_friend} {friend_says}\n{soon}{detail} {confess} {forgive}\n{feast} {truth_end}
:rule_house
"please be careful with it," {helper} always said.
"do not run near it," {said} {helper}[| {softly}].
[||{soon}]{hero} thought it was very {look}.
:accident
one {day} {when}, {hero} was {hobby} [indoors|inside]. {suddenly}, {hero.he} [slipped|tripped|bumped the
 table].
one {when}, {hero} [played|ran around] with a {color} {thing} near the {breakable}. the {thing}
 [slipped|flew] out of
 {hero.his} hands.
one day, {hero} chased a [fly|kitten|puppy|butterfly] through the room.
:crash
crash! the {breakable} fell and broke into [two|three|many|a hundred] pieces.
bang! the {breakable} hit the floor.
there was a loud crash. the {breakable} was broken.
:hide_it
[||{soon}]{hero} hid the pieces [under the bed|behind the sofa|in a box] and said nothing.
[||{soon}]{hero} put the pieces in a bag and [ran outside|hid it]. {hero.his} {body} [hurt|felt heavy].
quickly, {hero} covered the pieces with a {look} blanket.
:asked
later, {helper} asked, "where is my {breakable}?" {hero} [looked away|turned red|looked at the floor].
at dinner, {hero} could not even eat {treat}. "what is wrong?" asked {helper}[| {softly}].
"did you see the {breakable}?" asked {helper}[| {softly}]. "no," {said} {hero}, but {hero.his} voice
 [shook|was small].
:friend_says
"you should tell the truth," {friend} {said} {softly}. "{wisdom}."
"let us go and tell {helper} together," {said} {friend}[| {softly}]. {hero} nodded {sadly}.
:confess
{soon}{hero} told the truth. "I broke the {breakable}," {hero.he} {said} {sadly}. "I am so sorry."
"it was me," {hero} {said} {sadly}. "I was {hobby} and did not look."
[||{soon}]{hero} took a deep breath and went to {helper}. "I broke your {breakable}, and I was
 {very}{bad}," {hero.he} {said}[| {softly}].
:forgive
{helper} was quiet for a moment. {soon}{helper.he} hugged {hero}. "thank you for telling me," {helper.he}
 {said}[| {softly}].
"I am not angry," {helper} {said} {softly}. "a {breakable} can be fixed. {wisdom}."
{helper} looked {very}{bad} at first, but then {helper.he} smiled. "let us fix it," {helper.he}
 {said}[| {softly}]. they glued the pieces together {how}.
:truth_end
[||{soon}]{hero} learned that telling the truth [is always best|makes a heavy heart light]. {ending}
{hero} saved {hero.his} coins and bought a [shiny|pretty|fine|lovely] new {breakable}. {ending}
{feel_glad} {ending}|after that, {hero} always told the truth, even when it was hard.

:warned
{open} {detail_hero}\n"do not {forbidden}," {helper} told {hero} one {day} {when}. "{forbidden.reason}."
 {promise} {detail}\n{tempt} {did_it}\n{soon}{detail} {feel_bad} {help_warned}\n{feast} {warned_end}
{open} {detail_hero}\n{then} {detail} {meet} {detail_friend} {dare} {warned_by}\n{soon}{detail} {did_it}
 {feel_bad}\n{help_warned} {feast} {warned_end}
:promise
"I promise," {said} {hero}[| {softly}].
[||{soon}]{hero} nodded, but {hero.he} was not really listening.
"why not?" asked {hero}[| {softly}]. {helper} only [smiled|shook {helper.his} head].
:tempt
but when {helper} was [away|busy|asleep], {hero} thought, "just once will not hurt."
the next {when}, {hero} forgot all about it.
but {hero} was too curious. {hero.he} looked left and right. [nobody|no one|not a soul] was watching.
:dare
"I know a game," {said} {friend}[| {softly}]. "let us {forbidden}!"^
"do you want to {forbidden}?" asked {friend}[| {softly}]. "it will be fun!"^
:warned_by
"{helper} told us not to," {said} {hero}, but {hero.he} wanted to try.
[||{soon}]{hero} knew that it was wrong. "{forbidden.reason}," {hero.he} {said}, but {friend} only laughed.
:did_it
so {hero.he} went and did it. soon {hero.he} {forbidden.result}.
at first, it was fun. {soon}{hero.he} {forbidden.result}. "ouch!" {hero.he} {cried}. "help!"^
[||{soon}]{hero} did it [anyway|all the same]. before long, {hero.he} {forbidden.result}.
:help_warned
{helper} heard {hero.him} and came {how}. "are you all right?" {helper.he} asked[| {softly}].
{helper} ran to {hero} and held {hero.him} close. "now you see why I warned you," {helper.he} {said}
 {softly}.
luckily, {helper} was near. {helper.he} helped {hero.him} {how} and made {treat} to cheer {hero.him} up.
:warned_end
"I am sorry," {said} {hero}[| {softly}]. "next time I will listen." {ending}
{hero} learned to listen to good advice. {ending}|{hero} never did it again. {ending}
"I should not have tried to {forbidden}," {hero} {said} {sadly}. {helper} patted {hero.him} on the head.

:make
{open} {detail_hero}\n{reason_gift} {hero} decided to make {gift}. {detail}\n{need_list} {get1}\n{get2}
 {get3}\n{soon}{detail} {make_it}\n{give} {feast} {ending}
{open} {detail_hero}\n{reason_gift} "I will make {gift}!" {hero} {exclaimed}. {detail}\n{soon}{detail}
 {need_list} {meet} {detail_friend} {offer} {get2}\n{make_it} {give} {feast} {ending_two}
:reason_gift
it was [almost|nearly] {helper}'s birthday, and {helper.he} had always been {trait} to {hero}.
one {day} {when}, {helper} was [ill|in bed|{very}{bad}]. {hero} wanted to cheer {helper.him} up.
[||{soon}]{hero} wanted to thank {helper} for {helper.his} help.
:need_list
"I need {gift.need1}, {gift.need2} and {gift.need3}," {hero.he} {said}[| {softly}].
[||{soon}]{hero.he} made a list: {gift.need1}, {gift.need2} and {gift.need3}.
:get1
[||{soon}]{hero.he} found {gift.need1} {place.s1}.
first {hero.he} went to {place.the}. there {hero.he} got {gift.need1}.
a {trait} {animal} gave {hero.him} {gift.need1}.
:get2
[||{soon}]{hero.he} traded {junk} for {gift.need2}.
it was hard to find {gift.need2}. {hero.he} [looked|searched|peeked|hunted] {place.s2} and then by
 {landmark}.
a {owner} had {gift.need2} and shared {how}.
:get3
but {gift.need3} could not be found anywhere. {feel_bad} then {hero.he} saw what {hero.he} needed
 {place.s3}!
last of all, {hero.he} got {gift.need3} from a [neighbor|friend|cousin].
{soon}{hero.he} only needed {gift.need3}. {hero.he} found that near {landmark}.
:make_it
[||{soon}]{hero} worked {how} all {when}. {hero.he} made a [big |little |]mess, but at last {hero.he} was
 done.
[||{soon}]{hero} began to work. [twice|once], everything went wrong, and {hero.he} had to start again. then
 it was ready.
[||{soon}]{hero.he} put it all together {how}. it looked [lovely|wonderful|perfect|beautiful].
:give
"surprise!" {cried} {hero}. {helper} opened {helper.his} eyes wide. "{gift}! for me?"^
{hero} took it to {helper}. "I made this for you," {hero.he} {said} {softly}. {helper} was {very}{glad}.
when {helper} saw it, {helper.he} began to [laugh|cry with joy|dance]. "it is the best present ever!"
 {helper.he} said[| {softly}].

:away
{open} {detail_hero}\n{then} {detail} {follow} {lost_way} {feel_bad}\n{soon}{detail} {dark} {meet}
 {detail_friend} {ask_wrong} {way_home}\n{home_again} {feast} {away_end}
{open} {detail_hero}\n{then} {detail} {follow} {lost_way}\n{soon}{detail} {feel_bad} {dark}
 {owner_way}\n{home_again} {feast} {away_end}
:follow
[||{soon}]{hero.he} saw a {color} butterfly and ran after it, past {landmark} and {landmark}.
[||{soon}]{hero.he} followed {a_trail} for a long, long time.
[||{soon}]{hero.he} was {hobby} and did not see how far {hero.he} had gone.
:a_trail
a {look} path|a trail of {color} flowers|the sound of music|a funny {small_animal}
the smell of something sweet
:lost_way
when {hero.he} looked up, nothing was the same. {hero.he} was lost!
{soon}{hero.he} stopped. "where am I?" {hero.he} asked[| {softly}]. [nobody|no one|not a soul] answered.
soon {hero.he} could not see {place.the} any more.
:dark
the sky grew [dark|gray], and {hero.he} heard {noise}.
[||{soon}]{hero.he} walked left, and {hero.he} walked right, but {hero.he} only came to {landmark}.
[||{soon}]{hero.he} sat down {how} and ate the last of {hero.his} bread.
:way_home
"I am lost," {said} {hero}[| {softly}]. "I know the way," {said} {friend}[| {softly}]. "just follow me past
 {landmark}."
"I cannot find my way home," {hero} {said} {sadly}. {friend} climbed {landmark_up} and looked around. "it
 is that way!" {friend.he} {cried}.
:landmark_up
a tall tree|a big rock|a hill|a high wall
:owner_way
{soon}{hero.he} met a {owner}. "please, which way is home?" {hero} asked {softly}. the {owner}
 [pointed|showed {hero.him} the way] past {landmark}.
{at_last}, a {owner} came by with a {look} lantern. "come with me," {owner.he} {said}[| {softly}]. "I will
 take you home."
:home_again
they walked for a long time. {soon}{hero} saw {hero.his} home! {helper} was waiting at the door.
{helper} ran out and hugged {hero}. "we were {very}{bad}!" {helper.he} said[| {softly}].
at home, {helper} gave {hero.him} a [big|warm] hug and {treat}.
:away_end
"I will not go so far alone again," {said} {hero}[| {softly}]. {ending}
{hero} learned to stay close to home. {ending}|{feel_glad} {ending}

:newcomer
{open} {detail_hero}\none {day} {when}, somebody new came to live nearby. it was {friend}, a {trait} [||and
 {trait} |young |little |but {trait} ]{friend.kind}. {shy} {detail}\n{doubt} {advice}\n{soon}{detail}
 {welcome}\n{discover} {feast} {ending_two}
{open} {detail_hero} {hero} did not have many friends. {feel_bad}\n{then} {detail} {place.s2} sat a
 {friend.kind}. {friend.his} name was {friend}, and {friend.he} looked {very}{bad}.\n{soon}{detail}
 {welcome} {discover}\n{feast} {ending_two}
:shy
{friend} sat alone {place.s1} and did not say a word.
{friend} spoke in a [funny|strange|quiet] way, and some of the others [laughed|stared].
{friend} looked at everyone with [big|round|dark], [shy|sad|shining] eyes.
:doubt
"{friend} is [strange|different]," said the others.
[||{soon}]{hero} wanted to say hello, but {hero.he} was {very}{bad}.
"should I talk to {friend.him}?" {hero} asked {helper}.
:welcome
so {hero} went over and said {softly}, "hello, I am {hero}. do you want to play?"^
{hero} brought {treat} and sat down beside {friend}. "would you like some?" {hero.he} asked[| {softly}].
"do you like {hobby}?" {hero} asked. {friend} looked up. "yes, I love {hobby}!" {friend.he}
 said[| {softly}].
[||{soon}]{hero} showed {friend} a {look} {color} {thing}. "I like to {thing.play}," {hero.he}
 {said}[| {softly}]. "do you want to try?"^
:discover
{friend} could tell the [funniest|best] stories.
it turned out that {friend} loved {hobby}, too.
{friend} knew how to {skill}, and {friend.he} showed {hero} how.
{friend} laughed for the first time. it was a [lovely|bright|warm] laugh.
soon the others came over, and {friend} was not alone any more.

:build
{open} {detail_hero}\n{then} {detail} {hero.he} wanted to build {den}. {meet} {detail_friend}
 {offer}\n{work} {proud_build}\n{soon}{detail} {ruin} {feel_bad}\n{rebuild} {feast} {build_end}
{open} {detail_hero}\n{hero} and {friend}, a {trait} [||and {trait} |young |little |but
 {trait} ]{friend.kind}, wanted to build {den}. {detail}\n{work} {work2}\n{soon}{detail} {ruin} {blame}
 {advice}\n{rebuild} {feast} {build_end}
:work
they used {den.from}. {hero} [carried|gathered] everything, and {friend} put it together {how}.
{friend} brought {den.from}. they worked all {when}.
"we need {den.from}," {said} {friend}[| {softly}]. they found some {place.s1} and near {landmark}.
:work2
[||{soon}]{hero} sang a song while they worked.|they stopped only once, to eat {treat}.
{friend} put a {color} flag on top.
:proud_build
when it was done, it was [strong|big|tall] and {look}.
"it is the best one in the world!" {cried} {hero}.
they put a {color} flag on top and [cheered|danced around it].
:ruin
but then {storm}, and everything fell down.
that night, {storm}. in the morning, there was nothing left but {junk}.
{suddenly}, {storm}. crash! it all came down.
:blame
"it was your fault!" {hero} {cried}. "no, it was yours!" said {friend}.
[||{soon}]{hero} and {friend} were both {very}{bad}. they did not talk for a while.
:rebuild
"let us try again," {said} {hero}[| {softly}]. this time, they built it {how} and made it [strong|stronger].
"we can build it again," {friend} {said} {softly}. they used {den.from} and a {tool}, and this time it was
 [strong|steady].
{everyone} came to help. by the end of the day, there was {den} twice as big.
:build_end
even when {storm} the next day, it did not fall. {ending_two}|{feel_glad} {ending_two}
they learned that it is fine to start again. {ending_two}
working together made it strong. {ending_two}

:contest
{open} {detail_hero}\none {day} day, there was {race} {place}. the prize was {prize}. {boast}
 {detail}\n{soon}{detail} {start_race} {trouble} {choose_help}\n{finish} {feel_glad} {feast} {contest_end}
{open} {detail_hero} {hero} wanted to win {race}. the prize was {prize}.\n{practice} {meet_rival}
 {detail}\n{soon}{detail} {start_race} {trouble} {choose_help}\n{finish} {feast} {contest_end}
:boast
{friend}, a {trait} [||and {trait} |young |little |but {trait} ]{friend.kind}, laughed. "I am faster than
 all of you," {friend.he} {said}[| {softly}].
"you are too [small|slow]," {friend} told {hero}.
[||{soon}]{hero} and {friend}, a {trait} [||and {trait} |young |little |but {trait} ]{friend.kind}, stood
 side by side at the line.
:meet_rival
the fastest of all was {friend}, a {trait} [||and {trait} |young |little |but {trait} ]{friend.kind}.
"I will win," {said} {friend}, a {friend.kind} with a {look} {color} scarf.
:start_race
"ready, set, go!" {cried} {helper}. everyone {race.verb} as fast as they could.
a bell rang, and off they went. {hero} {race.verb} {how}.
they started near {landmark}. {hero} {race.verb} past {landmark}.
:trouble
{friend} was far ahead. {soon}{friend.he} [fell|slipped|stumbled] and hurt {friend.his} [foot|knee].
{suddenly}, {friend} cried out. {friend.he} was stuck {place.s2}.
halfway, {friend} tripped over {junk} and could not get up.
:choose_help
[||{soon}]{hero} wanted to win, but {hero.he} stopped. "are you hurt?" {hero.he} asked[| {softly}].
 {hero.he} helped {friend} up.
[||{soon}]{hero} looked at the finish line. {soon}{hero.he} turned back. "lean on me," {hero.he} told
 {friend}.
:finish
side by side, they crossed the line last. everybody [clapped|cheered].
another {animal_or_child} won the prize, but {helper} gave {hero} {treat} for being {trait}.
"why did you help me?" asked {friend}[| {softly}]. "because you are more important than {prize}," {said}
 {hero}[| {softly}].
:animal_or_child
runner|player|{animal}
:contest_end
[||{soon}]{hero} learned that winning is not everything. {ending_two}|{ending_two}
"being kind is the best prize," {said} {helper}[| {softly}]. {ending}

:grow
{open} {detail_hero}\none {day} {when}, {helper} gave {hero} a [tiny|small|little] seed. {seed_words}
 {detail}\n{plant_it} {wait}\n{soon}{detail} {feel_bad} {advice}\n{sprout} {harvest} {feast} {grow_end}
{open} {detail_hero}\n{then} {detail} {hero.he} found a [tiny|strange|small] seed {place.s1}. {meet}
 {detail_friend} {seed_guess}\n{soon}{detail} {plant_it} {wait}\n{sprout} {harvest} {feast} {ending_two}
:seed_words
"one day, this will be a {plant}," {helper} {said} {softly}.
"what is it?" asked {hero}[| {softly}]. "wait and see," {said} {helper}[| {softly}].
"take good care of it," {said} {helper}[| {softly}].
:seed_guess
"let us plant it," {said} {friend}[| {softly}]. "maybe it will be a {plant}!"^
"is it a [stone|bead|sweet]?" asked {friend}[| {softly}]. "I think it is a seed," {said} {hero}[| {softly}].
:plant_it
[||{soon}]{hero} dug a hole with a {look} spoon and put the seed in it.
[||{soon}]{hero.he} planted it {how} next to {landmark} and gave it some water.
[||{soon}]{hero.he} put the seed in a {color} pot by the window.
:wait
every {when}, {hero.he} watered it. but nothing [happened|came up].
[||{soon}]{hero.he} waited one day, two days, [a week|ten days]. the ground stayed bare.
"grow, little seed, grow!" {hero.he} said[| {softly}]. {hero.he} even sang to it.
:sprout
then, one {when}, there was a tiny green [leaf|sprout|tip]! {feel_glad}
{at_last}, a green leaf came out of the ground. "look!" {cried} {hero}.
after a [warm|long] rain, something green peeked out. {hero.his} eyes grew wide.
:harvest
it grew and grew until it was a {size} {plant}. soon it had {plant.fruit}.
by summer, there was a {look} {plant} with {plant.fruit}.
the {plant} grew taller than {hero}, and it gave {hero.him} {plant.fruit}.
:grow_end
[||{soon}]{hero} shared it with {everyone}. {ending}
{hero} learned that good things take time. {ending}
{hero} saved one seed for the next spring. {ending}|{thank_helper} {ending}

:rescue
{open} {detail_hero}\n{then} {detail} {hero.he} heard a [tiny|soft|weak] cry {place.s1}. it was a
 {small_animal}! {small_animal.hurt}.\n{rescue_bad} {rescue_try}\n{soon}{detail} {rescue_help}
 {rescue_do}\n{feast} {rescue_end}
{open} {detail_hero}\n{then} {detail} {place.s2}, {hero.he} saw a {size} {small_animal}.
 {small_animal.hurt}.\n{soon}{detail} {rescue_try} {meet} {detail_friend} {offer} {rescue_do}\n{rescue_end}
 {feast} {ending_two}
:rescue_bad
"poor little thing!" said {hero}[| {softly}]. "do not be [scared|afraid]."
the {small_animal} looked at {hero} with {color} eyes.
[||{soon}]{hero} felt {very}{bad} for the {small_animal}.
:rescue_try
[||{soon}]{hero} reached out {how}, but the {small_animal} was too [scared|weak|shy].
[||{soon}]{hero.he} tried to help with {junk}. it did not work.
"what do you need?" {hero.he} asked {softly}. {hero.he} gave it some water.
:rescue_help
[||{soon}]{hero} ran to {helper}. "come quickly!" {hero.he} {cried}.
[||{soon}]{hero} called {helper}. {helper} knew what to do. {advice}
"please help us," {hero} {said} to {helper}.
:rescue_do
together, they helped the {small_animal} {how}.
they made a soft bed out of a {color} scarf and fed the {small_animal} with a spoon.
with a {tool} and a lot of care, they made the {small_animal} free.
it took all {when}, but at last the {small_animal} was safe.
:rescue_end
soon the {small_animal} could go back to {small_animal.home}. {feel_glad} {ending}
the {small_animal} went home to {small_animal.home}, but it came to visit [often|every spring]. {ending}
"goodbye, little {small_animal}!" {cried} {hero}. {hero.he} learned that [even small help is big help|every
 creature matters]. {ending}

:mystery
{open} {detail_hero}\none {when}, {hero} heard {noise}. "what was that?" {hero.he} whispered. {feel_bad}
 {detail}\n{soon}{detail} {guess} {search_noise}\n{reveal} {feast} {mystery_end}
{open} {detail_hero}\n{then} {detail} {suddenly}, there was {noise}. {meet} {detail_friend} "did you hear
 that?" asked {hero}[| {softly}].\n{soon}{detail} {guess_two} {search_noise_two}\n{reveal} {feast}
 {ending_two}
:guess
[||{soon}]{hero.he} thought it was [a monster|a ghost|a dragon|a giant|a wolf].
"maybe it is a [monster|ghost|dragon|robber]," thought {hero}. {hero.he} pulled the blanket over {hero.his}
 head.
[||{soon}]{hero} called {helper}, but {helper} was [asleep|out|too far away].
:guess_two
"maybe it is a [monster|ghost|dragon|giant]!" said {friend}[| {softly}]. {friend.he} was {very}{bad}.
"it is only the wind," {said} {friend}, but {friend.he} did not sound so sure.
:search_noise
[||{soon}]{hero.he} took a {tool} and went to look {how}.
[||{soon}]{hero} took a lamp and [looked|searched|peeked|hunted] {place.s1}. there was only {junk}.
step by step, {hero.he} went closer. {soon}{hero.he} heard it again.
:search_noise_two
they took a {tool} and went {how}, hand in hand.
they [looked|searched|peeked|hunted] {place.s1} and {place.s2}, but they found only {junk}.
"you go first," {said} {friend}[| {softly}]. "no, you," {said} {hero}[| {softly}]. so they went together.
:reveal
and what was it? it was only {noise.source}! {feel_glad}
it was not a monster at all. it was {noise.source}! {hero} [laughed|giggled] until {hero.his} tummy hurt.
there, {place.s3}, they saw it. it was {noise.source}. "so that was it!" {hero} {exclaimed}.
:mystery_end
[||{soon}]{hero} learned that things are less scary when you look at them. {ending}|{ending}
"[next time|now] I will not be so {bad}," {said} {hero}[| {softly}]. {ending}
)grammar";

}  // namespace flashlm
